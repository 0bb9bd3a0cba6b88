"""Attacks: small changes of an image, found so that a network is wrong about it."""

from cnnlib.attacks.expectation import FROM_ANYWHERE, eot
from cnnlib.attacks.fooling import Fooling, fooling_by_ascent, fooling_by_evolution
from cnnlib.attacks.gradient import apgd, fgsm, pgd
from cnnlib.attacks.patch import Patch, Sticker, patch, random_patch
from cnnlib.attacks.printed import printed, survival
from cnnlib.attacks.universal import Universal, random_signs, universal
from cnnlib.inputs.losses import cross_entropy, difference_ratio, margin

__all__ = [
    "FROM_ANYWHERE",
    "Fooling",
    "Patch",
    "Sticker",
    "Universal",
    "apgd",
    "cross_entropy",
    "difference_ratio",
    "eot",
    "fgsm",
    "fooling_by_ascent",
    "fooling_by_evolution",
    "margin",
    "patch",
    "pgd",
    "printed",
    "random_patch",
    "random_signs",
    "survival",
    "universal",
]
