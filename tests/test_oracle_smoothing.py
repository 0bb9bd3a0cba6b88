"""The bounds of smoothing against those of scipy."""

import pytest
import torch
from torch import nn

from cnnlib.defend import ABSTAIN, lower_bound, predict


@pytest.mark.parametrize("alpha", [0.05, 0.001, 1e-6])
@pytest.mark.parametrize("trials", [1, 10, 100, 1000, 20_000])
def test_the_lower_bound_is_a_quantile_of_scipys_beta(trials, alpha):
    beta = pytest.importorskip("scipy.stats").beta
    for successes in sorted({1, trials // 3 or 1, trials // 2 or 1, trials - trials // 20, trials - 1 or 1, trials}):
        expected = beta.ppf(alpha, successes, trials - successes + 1)
        assert lower_bound(successes, trials, alpha) == pytest.approx(expected, rel=1e-9)


def test_it_abstains_where_scipys_binomial_test_cannot_tell():
    binomtest = pytest.importorskip("scipy.stats").binomtest

    class Votes(nn.Module):
        """Gives so many of the questions to class 1, whatever the noise."""

        def forward(self, x):
            to_one = torch.arange(len(x)) < self.ones
            return torch.stack([~to_one, to_one], 1).float()

    model, x = Votes(), torch.zeros(1, 1, 1, 1)
    for ones in range(101):
        model.ones = ones
        for alpha in (0.001, 0.05, 0.3):
            clear = binomtest(ones, 100, 0.5).pvalue <= alpha
            expected = int(ones > 50) if clear else ABSTAIN
            assert predict(model, x, sigma=1, samples=100, alpha=alpha).item() == expected
