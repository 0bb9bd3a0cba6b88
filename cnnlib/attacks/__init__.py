"""Attacks: small changes of an image, found so that a network is wrong about it."""

from cnnlib.attacks.gradient import apgd, fgsm, pgd
from cnnlib.inputs.losses import cross_entropy, difference_ratio, margin

__all__ = ["apgd", "cross_entropy", "difference_ratio", "fgsm", "margin", "pgd"]
