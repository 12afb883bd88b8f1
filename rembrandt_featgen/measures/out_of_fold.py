"""Out-of-fold predictions of one arm in several runs: what intervals, tests and power are computed from.

A study by cross-validation predicts every patient once in each run (a repeat of the cross-validation with one seed), by
a fold that never saw the patient. An arm's measure is the mean over runs of the measure of a run, and its uncertainty
is over patients: all runs of a patient are drawn, or swapped between arms, together. What a network trained again
would do is averaged over by the runs, not tested.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rembrandt_featgen.measures import classification


class OutOfFold(NamedTuple):
    """Out-of-fold predictions of one arm.

    Attributes:
      probabilities: [runs, patients] in [0, 1], of the positive class.
      threshold: scalar, or [runs, patients]: that of the patient's fold.
    """

    probabilities: np.ndarray
    threshold: float | np.ndarray = classification.THRESHOLD

    def checked(self, patients: int, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities and thresholds, both [runs, patients].

        Args:
          patients: how many there should be.
          name: of the arm, for messages.

        Raises:
          ValueError: the arrays do not fit that number of patients, or are not finite.
        """
        probabilities = np.asarray(self.probabilities, np.float64)
        if probabilities.ndim != 2 or probabilities.shape[1] != patients or not len(probabilities):
            raise ValueError(
                f"probabilities of {name} have shape {probabilities.shape}; with {patients} labels give "
                f"[runs, {patients}]"
            )
        threshold = np.asarray(self.threshold, np.float64)
        if threshold.shape not in ((), probabilities.shape):
            raise ValueError(
                f"threshold of {name} has shape {threshold.shape}; give a scalar or one for each of "
                f"{probabilities.shape}"
            )
        if not (np.isfinite(probabilities).all() and np.isfinite(threshold).all()):
            raise ValueError(f"scores of {name} are not all finite; every run must predict every patient once")
        return probabilities, np.broadcast_to(threshold, probabilities.shape)

    def correct(self, labels: np.ndarray, name: str) -> np.ndarray:
        """Whether each run predicted the class of each patient: [runs, patients] bool.

        Args:
          labels: [patients] in {0, 1}.
          name: of the arm, for messages.
        """
        probabilities, thresholds = self.checked(len(labels), name)
        return (probabilities > thresholds) == (labels == 1)
