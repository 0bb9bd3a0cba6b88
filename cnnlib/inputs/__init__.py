"""Optimise an input instead of the weights: what attacks and visualisations share.

Three engines: `ascend` follows gradients, `search` only asks, `minimise_norm` looks for the smallest change. `frozen`
leaves a model as it was, `Threat` says what is allowed, `Result` what came out.
"""

from cnnlib.inputs.ascend import Ascent, ascend
from cnnlib.inputs.freeze import frozen
from cnnlib.inputs.lbfgs import LBFGS
from cnnlib.inputs.losses import Loss, cross_entropy, difference_ratio, margin
from cnnlib.inputs.minimise import Nearest, minimise_norm
from cnnlib.inputs.result import Result
from cnnlib.inputs.search import search
from cnnlib.inputs.steps import APGD, Adam, steepest
from cnnlib.inputs.threat import Threat, distance
from cnnlib.inputs.victim import Kept, Victim, attack_on

__all__ = [
    "APGD",
    "LBFGS",
    "Adam",
    "Ascent",
    "Kept",
    "Loss",
    "Nearest",
    "Result",
    "Threat",
    "Victim",
    "ascend",
    "attack_on",
    "cross_entropy",
    "difference_ratio",
    "distance",
    "frozen",
    "margin",
    "minimise_norm",
    "search",
    "steepest",
]
