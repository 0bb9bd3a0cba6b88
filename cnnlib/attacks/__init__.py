"""Attacks: small changes of an image, found so that a network is wrong about it."""

from cnnlib.attacks.carlini_wagner import carlini_wagner
from cnnlib.attacks.decision import boundary
from cnnlib.attacks.deepfool import deepfool
from cnnlib.attacks.ensemble import ensemble
from cnnlib.attacks.expectation import FROM_ANYWHERE, eot
from cnnlib.attacks.fooling import Fooling, fooling_by_ascent, fooling_by_evolution
from cnnlib.attacks.gradient import apgd, fgsm, pgd
from cnnlib.attacks.hop_skip_jump import hop_skip_jump
from cnnlib.attacks.lbfgs import lbfgs
from cnnlib.attacks.linear import fool_linear
from cnnlib.attacks.nes import nes
from cnnlib.attacks.one_pixel import one_pixel
from cnnlib.attacks.patch import Patch, Sticker, patch, random_patch
from cnnlib.attacks.printed import printed, survival
from cnnlib.attacks.square import square
from cnnlib.attacks.transfer import transfer
from cnnlib.attacks.universal import Universal, random_signs, universal
from cnnlib.inputs.losses import cross_entropy, difference_ratio, margin

__all__ = [
    "FROM_ANYWHERE",
    "Fooling",
    "Patch",
    "Sticker",
    "Universal",
    "apgd",
    "boundary",
    "carlini_wagner",
    "cross_entropy",
    "deepfool",
    "difference_ratio",
    "ensemble",
    "eot",
    "fgsm",
    "fool_linear",
    "fooling_by_ascent",
    "fooling_by_evolution",
    "hop_skip_jump",
    "lbfgs",
    "margin",
    "nes",
    "one_pixel",
    "patch",
    "pgd",
    "printed",
    "random_patch",
    "random_signs",
    "square",
    "survival",
    "transfer",
    "universal",
]
