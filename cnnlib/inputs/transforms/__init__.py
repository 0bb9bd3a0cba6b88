"""What happens to an image on its way to a camera and from there into a file, so that an ascent can see through it.

Every change comes twice: as a function of its parameters, exact and without chance, and as one that draws them from
ranges. The drawn kind are functions of images (N, C, H, W) in [0, 1] and a generator; they return one view of each
image, all made with the same draws. `compose` puts them one behind the other, `views` makes several.
"""

from cnnlib.inputs.transforms.chain import Transform, compose, views
from cnnlib.inputs.transforms.geometry import (
    affine,
    affine_places,
    perspective,
    random_affine,
    random_perspective,
    random_rescale,
    rescale,
    sample,
)
from cnnlib.inputs.transforms.jpeg import jpeg, random_jpeg
from cnnlib.inputs.transforms.light import (
    blur,
    levels,
    random_blur,
    random_colour,
    random_light,
    random_noise,
)

__all__ = [
    "Transform",
    "affine",
    "affine_places",
    "blur",
    "compose",
    "jpeg",
    "levels",
    "perspective",
    "random_affine",
    "random_blur",
    "random_colour",
    "random_jpeg",
    "random_light",
    "random_noise",
    "random_perspective",
    "random_rescale",
    "rescale",
    "sample",
    "views",
]
