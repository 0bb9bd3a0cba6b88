"""See inside a network: functions that return arrays, torch tensors on the model's device, and draw nothing.

What a layer answers (`activations`), what it looks for (filters, patches, images that excite it), which pixels a class
depends on (attributions, and what becomes of them when the weights are random), what is left of an image in a layer
(inversion, probes, neighbours), and the loss around the weights. A layer has the name of its module.
"""

from cnnlib.visualize.dream import deep_dream
from cnnlib.visualize.gradients import deconvnet, gradient, guided_backprop, integrated_gradients, saliency
from cnnlib.visualize.landscape import filter_direction, loss_line, loss_plane
from cnnlib.visualize.layers import activations
from cnnlib.visualize.patches import Patches, deconvnet_projections, first_layer_filters, top_patches
from cnnlib.visualize.probes import Neighbours, Probe, linear_probe, neighbours
from cnnlib.visualize.regions import grad_cam, occlusion
from cnnlib.visualize.sanity import randomisation, rank_correlation
from cnnlib.visualize.style import gram, style_transfer
from cnnlib.visualize.synthesis import class_model, invert, maximise_activation

__all__ = [
    "Neighbours",
    "Patches",
    "Probe",
    "activations",
    "class_model",
    "deconvnet",
    "deconvnet_projections",
    "deep_dream",
    "filter_direction",
    "first_layer_filters",
    "grad_cam",
    "gradient",
    "gram",
    "guided_backprop",
    "integrated_gradients",
    "invert",
    "linear_probe",
    "loss_line",
    "loss_plane",
    "maximise_activation",
    "neighbours",
    "occlusion",
    "randomisation",
    "rank_correlation",
    "saliency",
    "style_transfer",
    "top_patches",
]
