"""The book's drawings: `base` holds what all share, each other file the figures of one subject.

What the library finds, and what draws it:

- `visualize.activations`, the maps of the first image: `images.sheet(maps[0][:, None] / maps.max())`.
- `visualize.first_layer_filters`, `class_model`, `deep_dream`, `style_transfer`: `images.sheet`;
  `maximise_activation`: `images.sheet` of `images.stretched`; what they climbed: `lines.histories`.
- `visualize.invert`, a row for each layer: `images.table`. So are views of an image, turned, printed or photographed.
- `visualize.top_patches` and `deconvnet_projections`: `inside.top_patches`.
- `visualize.gradient`, `saliency`, `guided_backprop`, `deconvnet`, `integrated_gradients`, `grad_cam`, `occlusion`:
  `inside.attributions`; `randomisation`: `lines.by_layer`.
- `visualize.linear_probe`: its accuracies by `lines.by_layer`; `neighbours`: `inside.neighbours`.
- `visualize.loss_line` and `loss_plane`: `landscapes.line` and `landscapes.plane`.
- An attack's `Result`: `attacks.attacked`; `fool_linear` and whatever else changes an image: `attacks.changes`;
  `universal`, `patch`, `fooling_by_ascent` and `fooling_by_evolution`: `attacks.universal`, `patch` and `fooling`.
- Results at several ε: `robustness.success`; of the smallest changes, or by queries: `robustness.reached`; before and
  after rounding: `robustness.rounding`; `attacks.survival`, `attacks.transfer`: `robustness.survival`, `transfer`.
- `defend.diagnose` and `defend.certify`: `robustness.findings` and `robustness.certified`.

Measurements with several seeds: `seeds.curves`.
"""

from cnnlib.plotting.base import COLOURS, figure, grid, new

__all__ = ["COLOURS", "figure", "grid", "new"]
