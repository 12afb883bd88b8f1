"""How many patients a study would need to detect what a classifier knows."""

from __future__ import annotations

import numpy as np

from rembrandt_featgen.measures import bootstrap
from rembrandt_featgen.measures.out_of_fold import OutOfFold

CHANCE = 0.5  # balanced accuracy of an uninformative classifier


def detection_power(
    labels: np.ndarray, arm: OutOfFold, patients: int, *, simulations: int = 1000, draws: int = 1000, seed: int = 0
) -> float:
    """Estimated probability that a balanced accuracy above 0.5 is detected with a cohort of some size.

    Detected means what a report would say: the 95% bootstrap interval over patients (`bootstrap.bootstrap_arms`) lies
    wholly above 0.5. Cohorts are drawn with replacement from the given patients, within each class and in their
    proportions. So it answers for a population like these patients and for networks as good as these: more
    patients to train on would make better ones. From few patients it is as uncertain as the balanced accuracy itself,
    and says no more than its interval; use it to see how many patients a next study needs.

    Args:
      labels: [patients given] in {0, 1}, both present.
      arm: out-of-fold predictions of these patients.
      patients: size of the simulated cohorts; at least two of each class must be in it.
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
    positive = int(round(patients * float(np.mean(labels == 1))))
    accuracy = np.zeros((simulations, draws))
    for label, count in ((1, positive), (0, patients - positive)):
        if count < 2 or label not in labels:
            raise ValueError(
                f"{patients} patients in the proportions given are {positive} positive and {patients - positive} "
                "negative ones; raise patients until both are at least 2"
            )
        cohorts = generator.choice(correct[labels == label], (simulations, count))
        accuracy += cohorts @ bootstrap.multiplicities(generator, count, draws).T / (2.0 * count)
    return float(np.mean(np.percentile(accuracy, 2.5, axis=1) > CHANCE))
