"""One estimate from the differences of several data sets: their mean, their spread, and what the next one will show.

Each data set has a true difference of its own, drawn from a t distribution around mu0 (Corani and Benavoli's model, see
`pooled_sampling`). The interval of mu0 says whether a method helps on average, the prediction how likely it is to help,
to do nothing of use, or to harm in a data set that is like these.

Reference: Corani, Benavoli, Demsar, Mangili and Zaffalon 2017, "Statistical comparison of classifiers through Bayesian
hierarchical modelling", Machine Learning 106; Benavoli, Corani, Demsar and Zaffalon 2017, "Time for a change".
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy import stats

from rembrandt_featgen.measures import convergence, differences, pooled_sampling
from rembrandt_featgen.measures.differences import Difference
from rembrandt_featgen.measures.pooled_sampling import Prior

DATA_SETS = 3  # from which on the spread between them can be told
_CHAINS, _DRAWS, _WARMUP = 16, 600, 200
_R_HAT, _SIZE = 1.01, 1000  # what is not to be trusted


@dataclasses.dataclass(frozen=True)
class Pooled:
    """What several data sets say together.

    Attributes:
      mean: posterior mean of mu0, the mean of the true differences.
      interval: 95%, of mu0, equal tails.
      bounds, inner: 95% and 90% intervals of mu0 as one of a family of pools, which hold for all of them at once; the
        word rests on them.
      spread, spread_interval: of the true differences over data sets, median and 95% interval.
      below, within, above: probability that the true difference of the next data set is below -margin, within the
        margin, above it; they add up to 1.
      true: of each data set, the mean and 95% interval of its true difference, given all the others.
      data_sets: their number.
      margin: of the measure, within which two pipelines count as equivalent.
      r_hat, effective_size: of mu0 and the spread, the worse of both.
    """

    mean: float
    interval: tuple[float, float]
    inner: tuple[float, float]
    bounds: tuple[float, float]
    spread: float
    spread_interval: tuple[float, float]
    below: float
    within: float
    above: float
    true: tuple[tuple[float, float, float], ...]
    data_sets: int
    margin: float
    r_hat: float
    effective_size: float

    @property
    def converged(self) -> bool:
        """Whether the chains agree and are worth enough draws."""
        return self.r_hat < _R_HAT and self.effective_size >= _SIZE

    @property
    def word(self) -> str:
        """One of `differences.WORDS`, of mu0, by the rules of `differences.word`.

        Fewer than `DATA_SETS` data sets, and chains that did not converge, leave it undecided.
        """
        if self.data_sets < DATA_SETS or not self.converged:
            return "undecided"
        if -self.margin < self.inner[0] and self.inner[1] < self.margin:
            return "equivalent"
        return "helped" if self.bounds[0] > 0 else "harmed" if self.bounds[1] < 0 else "undecided"


def pool(
    found: Sequence[Difference],
    *,
    margin: float = differences.MARGIN,
    prior: Prior | None = None,
    seed: int = 0,
    family: int = 1,
) -> Pooled:
    """The hierarchical estimate of the differences of several data sets.

    Args:
      found: one of each data set, see `together` and `of_folds`; their patients must not be the same.
      margin: above 0, of the measure.
      prior: of the spread between data sets; None takes that of differences of AUROC.
      seed: of the sampler, which alone decides its draws.
      family: how many pools are judged at once, for `bounds` and `inner` (Bonferroni).

    Raises:
      ValueError: no difference, or one without an error.
    """
    if not found or not all(np.isfinite([one.value, one.error]).all() and one.degrees > 0 for one in found):
        raise ValueError("each data set needs a difference with a finite error")
    values, errors, degrees = (np.array([[getattr(one, key) for one in found]]) for key in Difference._fields[:3])
    drawn = pooled_sampling.sample(
        values,
        errors,
        degrees,
        prior=prior or Prior(),
        seed=seed,
        chains=_CHAINS,
        draws=_DRAWS,
        warmup=_WARMUP,
    )
    mean, spread, nu = (array[0] for array in drawn[:3])
    checked = (mean, np.log(spread))
    below = float(stats.t.cdf((-margin - mean) / spread, nu).mean())
    above = float(stats.t.sf((margin - mean) / spread, nu).mean())
    true = drawn.true[0].reshape(-1, len(found))
    return Pooled(
        mean=float(mean.mean()),
        interval=_interval(mean, differences.LEVEL),
        inner=_interval(mean, 2 * differences.LEVEL / family),
        bounds=_interval(mean, differences.LEVEL / family),
        spread=float(np.median(spread)),
        spread_interval=_interval(spread, differences.LEVEL),
        below=below,
        within=max(1.0 - below - above, 0.0),
        above=above,
        true=tuple((float(column.mean()), *_interval(column, differences.LEVEL)) for column in true.T),
        data_sets=len(found),
        margin=margin,
        r_hat=max(map(convergence.r_hat, checked)),
        effective_size=min(map(convergence.effective_size, checked)),
    )


def together(found: Sequence[Difference], correlation: float = 1.0) -> Difference:
    """The mean of several differences of the same patients, such as those of several classifiers, as one.

    Args:
      found: of one data set, each with a finite error.
      correlation: of their errors with one another, 0 to 1. 1, the default, is the most that it can be, and right where
        nobody knows: no classifier and no number of shots makes new patients.
    """
    errors = np.array([one.error for one in found])
    n = len(found)
    variance = (1 - correlation) * np.sum(errors**2) + correlation * errors.sum() ** 2
    degrees, trainings = (min(getattr(one, key) for one in found) for key in ("degrees", "trainings"))
    mean = float(np.mean([one.value for one in found]))
    return Difference(mean, float(np.sqrt(variance)) / n, degrees, trainings=trainings)


def of_folds(values: Sequence[float], correlation: float) -> Difference:
    """The differences of the folds of one data set, as Corani and Benavoli's model takes them.

    Folds are normal around the data set's true difference, with one variance and one correlation. A flat prior of
    their deviation, integrated out, leaves a t distribution of the true difference with n - 2 degrees of freedom.

    Args:
      values: [n] difference in each fold of each repetition, at least 3.
      correlation: of two folds, 0 to below 1: the share of the patients that a fold tests.

    Raises:
      ValueError: fewer than 3 folds.
    """
    x = np.asarray(values, np.float64)
    n = len(x)
    if n < 3:
        raise ValueError(f"at least 3 folds are needed, received {n}")
    squares = np.sum((x - x.mean()) ** 2) / (1 - correlation)
    scale = squares * (1 + (n - 1) * correlation) / (n * (n - 2))
    return Difference(float(x.mean()), float(np.sqrt(scale)), float(n - 2), trainings=n)


def _interval(draws: np.ndarray, level: float) -> tuple[float, float]:
    low, high = np.quantile(draws, [level / 2, 1 - level / 2])
    return float(low), float(high)
