"""What the tests of drawings share: whether a figure can be read, and a network whose answers one sees."""

import torch

from cnnlib.plotting.images import WIDTH


class Brighter(torch.nn.Module):
    """Class 1 for images that are brighter than a half."""

    def forward(self, x):
        mean = x.flatten(1).mean(1)
        return torch.stack([0.5 - mean, mean - 0.5], 1)


def check_text(fig):
    """Check that nothing is too small on a telephone, and that neither titles nor the numbers at an axis overlap."""
    fig.draw_without_rendering()
    texts = [text for text in fig.findobj(match=lambda artist: hasattr(artist, "get_fontsize")) if text.get_text()]
    assert min((text.get_fontsize() for text in texts), default=11) >= 10
    assert fig.get_size_inches()[0] == WIDTH
    groups = [[ax.title for ax in fig.axes]]
    groups += [labels() for ax in fig.axes for labels in (ax.get_xticklabels, ax.get_yticklabels) if ax.axison]
    for group in groups:
        boxes = [(text.get_text(), text.get_window_extent()) for text in group if text.get_text()]
        for i, (words, box) in enumerate(boxes):
            for others, other in boxes[:i]:
                assert not box.overlaps(other), (words, others)
