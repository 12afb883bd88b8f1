"""What a number of patients can detect: that a classifier knows anything, or that two of them differ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

from rembrandt_featgen.measures import bootstrap
from rembrandt_featgen.measures.auroc_error import auroc_error
from rembrandt_featgen.measures.differences import LEVEL, Difference
from rembrandt_featgen.measures.out_of_fold import OutOfFold

AUROC = 0.8  # that is expected before anything is known
CORRELATION = 0.85  # of two pipelines over cohorts: errors that studies found were as large, or smaller
ALIKE = 0.98  # of two that rank patients much alike: studies found errors down to a quarter of what 0.85 says


def chance(num_classes: int) -> float:
    """Balanced accuracy of an uninformative classifier."""
    return 1.0 / num_classes


def detection_power(
    labels: np.ndarray, arm: OutOfFold, patients: int, *, simulations: int = 1000, draws: int = 1000, seed: int = 0
) -> float:
    """Estimated probability that a balanced accuracy above chance is detected with a cohort of some size.

    Detected means what a report would say: the 95% bootstrap interval over patients (`bootstrap.bootstrap_arms`) lies
    wholly above 1 / classes. Cohorts are drawn with replacement from the given patients, within each class and in their
    proportions. So it answers for a population like these patients and for networks as good as these: more
    patients to train on would make better ones. From few patients it is as uncertain as the balanced accuracy itself,
    and says no more than its interval; use it to see how many patients a next study needs.

    Args:
      labels: [patients given] in [0, classes), all present.
      arm: out-of-fold predictions of these patients.
      patients: size of the simulated cohorts; at least two of each class must be in it; classes are rounded to whole
        patients, the first taking what is left.
      simulations: how many cohorts.
      draws: resamples behind each interval, the same for all cohorts.
      seed: of both.

    Returns:
      Share of the cohorts in which it is detected.

    Raises:
      ValueError: a class has fewer than two patients in the cohort, or none in what is given.
    """
    labels = np.asarray(labels)
    generator = np.random.default_rng(seed)
    correct = arm.correct(labels, "arm").mean(axis=0)
    num_classes = np.shape(arm.probabilities)[-1]
    sizes = np.rint(patients * (np.bincount(labels, minlength=num_classes) / len(labels))).astype(int)
    sizes[0] = patients - sizes[1:].sum()
    if sizes.min() < 2 or len(np.unique(labels)) < num_classes:
        raise ValueError(
            f"{patients} patients in the proportions given are {', '.join(map(str, sizes))} of the classes; raise "
            "patients until all are at least 2"
        )
    accuracy = np.zeros((simulations, draws))
    for label in range(num_classes - 1, -1, -1):
        cohorts = generator.choice(correct[labels == label], (simulations, sizes[label]))
        accuracy += cohorts @ bootstrap.multiplicities(generator, sizes[label], draws).T / (num_classes * sizes[label])
    return float(np.mean(np.percentile(accuracy, 2.5, axis=1) > chance(num_classes)))


def expected_error(patients: Sequence[int], *, auroc: float = AUROC, correlation: float = CORRELATION) -> float:
    """Standard error to expect of the difference of AUROC between two pipelines that are tested on the same patients.

    Args:
      patients: [classes] number of each class; of more than two, each is held against all others, and the largest error
        counts.
      auroc: of both.
      correlation: of their two estimates over cohorts.

    Returns:
      NaN where a class has fewer than two patients.

    Reference: Hanley and McNeil 1982, "The meaning and use of the area under a receiver operating characteristic (ROC)
    curve", for the error of one; 1983 for the difference of two.
    """
    if min(patients) < 2 or len(patients) < 2:
        return np.nan
    errors = [auroc_error(count, sum(patients) - count, auroc) for count in patients]
    return max(errors) * np.sqrt(2.0 * (1.0 - correlation))


def detectable(error: float, patients: Sequence[int]) -> float:
    """The difference that is found with a power of 80% at that error; see `expected_error`."""
    return _of_error(error, patients).detectable


def half_width(error: float, patients: Sequence[int]) -> float:
    """Half of the 90% interval, which has to lie within the margin for two pipelines to be equivalent."""
    return _of_error(error, patients).interval(2.0 * LEVEL)[1]


def _of_error(error: float, patients: Sequence[int]) -> Difference:
    return Difference(0.0, error, degrees=min(patients) - 1.0, trainings=1)


def difference_power(size: float, error: float, degrees: float = np.inf) -> float:
    """Probability that a difference of some size is found, i.e. that its 95% interval lies on its side of 0.

    Args:
      size: true difference, above 0.
      error: standard error of its estimate.
      degrees: of freedom of the error.
    """
    limit = stats.t.ppf(0.975, degrees)
    with np.errstate(all="ignore"):  # far out the noncentral t is 0 / 0
        exact = stats.nct.sf(limit, degrees, size / error) if np.isfinite(degrees) else np.nan
    return float(exact if np.isfinite(exact) else stats.norm.sf(limit - size / error))
