"""The engine of attacks that only ask."""

import pytest
import torch

from cnnlib.inputs import search
from cnnlib.inputs.search import AT_ONCE


class Asked:
    def __init__(self):
        self.sizes, self.rows = [], []

    def __call__(self, images, rows):
        self.sizes.append(len(images))
        self.rows.append(rows.tolist())
        return images.flatten(1).sum(1, keepdim=True)


def proposed(queries, told=None):
    def propose(rows, left):
        if told is not None:
            told.append((rows.tolist(), left))
        return rows[:, None, None, None, None].expand(-1, queries, 1, 1, 1).float()

    return propose


def test_rows_that_are_done_are_asked_about_no_more_and_a_budget_is_kept():
    ask, told = Asked(), []
    search(torch.arange(3), proposed(2, told), lambda rows, images, logits: rows == 1, ask=ask, budget=5)
    assert told == [([0, 1, 2], 5), ([0, 2], 3), ([0, 2], 1)]  # the third proposal is more than what is left
    assert ask.rows == [[0, 0, 1, 1, 2, 2], [0, 0, 2, 2]]


def test_answers_come_in_the_order_of_the_images():
    def accept(rows, images, logits):
        assert torch.equal(logits[..., 0], images.flatten(2).sum(2))
        return torch.ones_like(rows, dtype=torch.bool)

    ask = Asked()
    search(torch.arange(300), proposed(10), accept, ask=ask, budget=100)
    assert sum(ask.sizes) == 3000
    assert max(ask.sizes) == AT_ONCE


def test_a_proposal_of_nothing_and_a_budget_of_nothing_end_a_search():
    ask = Asked()
    search(torch.arange(3), proposed(0), None, ask=ask, budget=5)
    search(torch.arange(3), proposed(1), None, ask=ask, budget=0)
    search(torch.arange(0), proposed(1), None, ask=ask, budget=5)
    assert ask.sizes == []
    with pytest.raises(ValueError, match="budget is -1; expected an integer of at least 0"):
        search(torch.arange(3), proposed(1), None, ask=ask, budget=-1)
