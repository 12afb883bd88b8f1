import numpy as np
import pytest

from rembrandt_featgen.measures import convergence


def autoregressive(correlation, chains=8, draws=4000):
    random = np.random.default_rng(0)
    steps = random.normal(size=(chains, draws))
    for i in range(1, draws):
        steps[:, i] = correlation * steps[:, i - 1] + np.sqrt(1 - correlation**2) * steps[:, i]
    return steps


@pytest.mark.parametrize("correlation", [-0.3, 0.0, 0.5, 0.9])
def test_effective_size_of_an_autoregressive_chain(correlation):
    chains = autoregressive(correlation)
    expected = chains.size * (1 - correlation) / (1 + correlation)
    assert convergence.effective_size(chains) == pytest.approx(expected, rel=0.15)
    assert convergence.r_hat(chains) < 1.01


def test_chains_that_disagree_or_drift():
    chains = autoregressive(0.0)
    apart = chains + np.arange(8)[:, None]
    assert convergence.r_hat(apart) > 2 and convergence.effective_size(apart) < 100
    drifting = chains + np.linspace(0, 3, 4000)  # all alike, and none of them stationary
    assert convergence.r_hat(drifting) > 1.2


def test_chains_that_stand_still():
    assert convergence.r_hat(np.ones((2, 8))) == 1.0
    assert convergence.r_hat(np.repeat([[0.0], [1.0]], 8, axis=1)) == np.inf
