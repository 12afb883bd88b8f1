"""Draws from the posterior of a hierarchical model of differences in several data sets.

    d_i ~ t(mu_i, error_i; degrees_i),   mu_i ~ t(mu0, spread; nu),   mu0 ~ flat,   nu - 1 ~ Gamma(alpha, beta)

Both t distributions are normal ones whose variances are divided by a gamma variable, so that a Gibbs sampler draws all
but the spread and nu in closed form; these two come from their conditional distribution on a fine grid. The spread and
mu0 are drawn together, given neither mu_i: the funnel of a small spread does not trap the chains.

Reference: Corani, Benavoli, Demsar, Mangili and Zaffalon 2017, "Statistical comparison of classifiers through Bayesian
hierarchical modelling", Machine Learning 106.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
from scipy import special, stats

_SPREADS = 64  # points of the grid of the spread
_SMALLEST = 1e-6  # of errors: the very same predictions have none
_MOST_DEGREES = 1e6
_NUS = 1.0 + np.geomspace(0.05, 400.0, 80)
_TAIL = 3.0  # degrees of freedom of the half-t prior


@dataclasses.dataclass(frozen=True)
class Prior:
    """What is assumed of the true differences before any is measured.

    Attributes:
      spread: scale of the half-t prior (3 degrees of freedom) of their spread over data sets; 0 takes the uniform one
        of Corani and Benavoli, up to a thousand times the deviation of what was measured, which needs many data sets.
    """

    spread: float = 0.05


class Draws(NamedTuple):
    """Draws of several studies at once.

    Attributes:
      mean, spread, nu: [studies, chains, draws] of mu0, of the spread, and of its degrees of freedom.
      true: [studies, chains, draws, data sets] of mu_i.
    """

    mean: np.ndarray
    spread: np.ndarray
    nu: np.ndarray
    true: np.ndarray


def sample(
    values: np.ndarray,
    errors: np.ndarray,
    degrees: np.ndarray,
    *,
    prior: Prior,
    seed: int,
    chains: int,
    draws: int,
    warmup: int,
) -> Draws:
    """Chains that started apart from one another, without their warm-up.

    Args:
      values, errors, degrees: [studies, data sets] of the differences; errors at least 0, degrees above 0, may be inf.
      prior: of the spread.
      seed: of all draws.
      chains, draws, warmup: numbers, for each study.
    """
    random = np.random.default_rng(seed)
    values = np.asarray(values, np.float64)[:, None]  # [studies, 1, data sets]
    variances = np.maximum(np.asarray(errors, np.float64), _SMALLEST)[:, None] ** 2
    degrees = np.minimum(np.asarray(degrees, np.float64), _MOST_DEGREES)[:, None]
    grid, log_prior = _spreads(values, variances, prior)
    log_nu = _log_prior_of_nu()
    shape = (len(values), chains, values.shape[2])
    of_errors, of_true = np.ones(shape), random.gamma(2.0, 0.5, shape)
    nu = random.choice(_NUS, shape[:2])
    first, second, third = (np.empty((*shape[:2], draws)) for _ in range(3))
    kept = Draws(first, second, third, true=np.empty((*shape[:2], draws, shape[2])))
    for step in range(warmup + draws):
        noise = variances / of_errors
        spread, mean = _spread_and_mean(values, noise, of_true, grid=grid, log_prior=log_prior, random=random)
        wide = spread[..., None] ** 2 / of_true
        share = wide / (wide + noise)
        middle = mean[..., None] + share * (values - mean[..., None])
        true = middle + np.sqrt(share * noise) * random.standard_normal(shape)
        scaled = (true - mean[..., None]) / spread[..., None]
        of_true = random.gamma((nu[..., None] + 1) / 2) / ((nu[..., None] + scaled**2) / 2)
        of_true = np.maximum(of_true, 1e-12)
        of_errors = random.gamma((degrees + 1) / 2, size=shape) / ((degrees + (values - true) ** 2 / variances) / 2)
        nu = _nu(of_true, log_nu, random)
        if step >= warmup:
            for array, drawn in zip(kept, (mean, spread, nu, true)):
                array[:, :, step - warmup] = drawn
    return kept


def _spread_and_mean(values, noise, of_true, *, grid, log_prior, random):
    """[studies, chains] each: the spread from its grid, mu0 integrated out, then mu0 given the spread."""
    shape = of_true.shape[:2]
    total = noise[:, :, None] + grid[:, None, :, None] ** 2 / of_true[:, :, None]  # [studies, chains, grid, data sets]
    precision = 1.0 / total
    sums = precision.sum(axis=-1)
    centre = (precision * values[:, :, None]).sum(axis=-1) / sums
    squares = (precision * (values[:, :, None] - centre[..., None]) ** 2).sum(axis=-1)
    logs = log_prior[:, None] + 0.5 * (np.log(precision).sum(axis=-1) - np.log(sums) - squares)
    chosen = _categorical(logs, random)
    # Within its cell of the grid the logarithm of the spread is uniform.
    step = np.log(grid[:, 1] / grid[:, 0])[:, None]
    spread = np.take_along_axis(np.broadcast_to(grid[:, None], logs.shape), chosen[..., None], -1)[..., 0]
    spread = spread * np.exp(step * (random.random(shape) - 0.5))
    precision = 1.0 / (noise + spread[..., None] ** 2 / of_true)
    sums = precision.sum(axis=-1)
    mean = (precision * values).sum(axis=-1) / sums + random.standard_normal(shape) / np.sqrt(sums)
    return spread, mean


def _nu(of_true, log_nu, random):
    """[studies, chains] degrees of freedom given the gamma variables."""
    half, n = _NUS / 2, of_true.shape[-1]
    sums = (np.log(of_true) - of_true).sum(axis=-1)[..., None]
    constant = half * np.log(half) - special.gammaln(half)  # of the density of Gamma(half, rate half)
    return _NUS[_categorical(log_nu + n * constant + half * sums, random)]


def _categorical(logs: np.ndarray, random) -> np.ndarray:
    """Index along the last axis, with probabilities in proportion to exp(logs)."""
    cumulative = np.cumsum(np.exp(logs - logs.max(axis=-1, keepdims=True)), axis=-1)
    drawn = random.random(logs.shape[:-1])[..., None] * cumulative[..., -1:]
    return np.minimum((cumulative < drawn).sum(axis=-1), logs.shape[-1] - 1)


def _spreads(values, variances, prior: Prior) -> tuple[np.ndarray, np.ndarray]:
    """[studies, grid] points, evenly apart in their logarithm, and the prior's mass around each."""
    if prior.spread > 0:
        high = np.full(len(values), 20 * prior.spread)
        low = high / 1e4
    else:
        among = np.maximum(values[:, 0].std(axis=-1), np.sqrt(variances[:, 0]).mean(axis=-1) * 1e-2)
        low, high = among / 1e2, among * 1e3
    grid = np.geomspace(low, high, _SPREADS, axis=-1)
    density = stats.t.logpdf(grid / prior.spread, _TAIL) if prior.spread > 0 else np.zeros_like(grid)
    return grid, density + np.log(grid)


def _log_prior_of_nu() -> np.ndarray:
    """[grid] mass of nu - 1 ~ Gamma(alpha, beta), alpha uniform in 1 to 2, beta in 0.01 to 0.1."""
    alpha, beta = np.meshgrid(np.linspace(1, 2, 21), np.linspace(0.01, 0.1, 21))
    density = stats.gamma.pdf(_NUS[:, None] - 1, alpha.ravel(), scale=1 / beta.ravel()).mean(axis=1)
    return np.log(density) + np.log(_NUS - 1)
