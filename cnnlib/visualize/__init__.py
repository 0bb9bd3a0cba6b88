"""See inside a network: functions that return arrays, torch tensors on the model's device, and draw nothing."""

from cnnlib.visualize.gradients import deconvnet, gradient, guided_backprop, integrated_gradients, saliency
from cnnlib.visualize.layers import activations
from cnnlib.visualize.regions import grad_cam, occlusion

__all__ = [
    "activations",
    "deconvnet",
    "grad_cam",
    "gradient",
    "guided_backprop",
    "integrated_gradients",
    "occlusion",
    "saliency",
]
