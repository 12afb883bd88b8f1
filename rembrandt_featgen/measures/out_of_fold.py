"""Out-of-fold predictions of one arm in several runs: what intervals, tests and power are computed from.

A study by cross-validation predicts every patient once in each run (a repeat of the cross-validation with one seed), by
a fold that never saw the patient. An arm's measure is the mean over runs of the measure of a run, and its uncertainty
is over patients: all runs of a patient are drawn, or swapped between arms, together. What a network trained again
would do is averaged over by the runs, not tested.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rembrandt_featgen.measures import decisions


class OutOfFold(NamedTuple):
    """Out-of-fold predictions of one arm.

    Attributes:
      probabilities: [runs, patients, classes] in [0, 1].
      thresholds: by which `decisions.decide` decides, [classes], or [runs, patients, classes]: those of the patient's
        fold; None for the most probable class.
      folds: [runs, patients] of which model predicted whom in a run; None where each run is of one model.
    """

    probabilities: np.ndarray
    thresholds: np.ndarray | None = None
    folds: np.ndarray | None = None

    def checked(self, patients: int, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities and thresholds, both [runs, patients, classes].

        Args:
          patients: how many there should be.
          name: of the arm, for messages.

        Raises:
          ValueError: the arrays do not fit that number of patients, or are not finite.
        """
        probabilities = np.asarray(self.probabilities, np.float64)
        if probabilities.ndim != 3 or probabilities.shape[1] != patients or not len(probabilities):
            raise ValueError(
                f"probabilities of {name} have shape {probabilities.shape}; with {patients} labels give "
                f"[runs, {patients}, classes]"
            )
        num_classes = probabilities.shape[2]
        thresholds = decisions.even(num_classes) if self.thresholds is None else np.asarray(self.thresholds, float)
        if thresholds.shape not in ((num_classes,), probabilities.shape):
            raise ValueError(
                f"thresholds of {name} have shape {thresholds.shape}; give one for each of {num_classes} classes, or "
                f"for each of {probabilities.shape}"
            )
        if not (np.isfinite(probabilities).all() and np.isfinite(thresholds).all()):
            raise ValueError(f"scores of {name} are not all finite; every run must predict every patient once")
        return probabilities, np.broadcast_to(thresholds, probabilities.shape)

    def correct(self, labels: np.ndarray, name: str) -> np.ndarray:
        """Whether each run predicted the class of each patient: [runs, patients] bool.

        Args:
          labels: [patients] in [0, classes).
          name: of the arm, for messages.
        """
        return decisions.decide(*self.checked(len(labels), name)) == labels
