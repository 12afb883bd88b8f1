"""Which synthetic features are added to the real ones: how many, and to which grade."""

from __future__ import annotations

import numpy as np

from rembrandt_featgen.cohort.layouts import GRADES

RECEIVERS = ("both", "rarer", *GRADES)


def numbers(synthetic: np.ndarray, real: np.ndarray, added: int, receiver: str) -> np.ndarray:
    """Numbers of the synthetic features that are added; more of them hold those of fewer.

    Args:
      synthetic: [n] labels of the synthetic features in the order of writing, in which the grades alternate.
      real: [m] labels of the real training features.
      added: how many, from 0 on; 0 is as many as can be.
      receiver: "both": the first ones, half of each grade as long as there are; "rarer": the first ones of the grade
        that has fewer real features, at most until it has as many as the other; "HGG", "LGG": the first ones of that
        grade.

    Returns:
      [added] int, ascending.

    Raises:
      ValueError: there are fewer, or the grades would be made unequal.
    """
    where, most, whose = np.arange(len(synthetic)), len(synthetic), "synthetic features"
    if receiver != "both":
        counts = np.bincount(real, minlength=len(GRADES))
        grade = GRADES[int(np.argmin(counts))] if receiver == "rarer" else receiver
        where, whose = np.flatnonzero(np.asarray(synthetic) == GRADES.index(grade)), f"synthetic {grade} features"
        most = len(where)
    if receiver == "rarer":
        gap = int(np.max(counts) - np.min(counts))
        if added > gap:
            raise ValueError(f"{gap} more of {grade} make the grades equal, and more would undo it")
        most = min(gap, most)
    if added > len(where):
        raise ValueError(f"there are {len(where)} {whose}")
    return where[: added or most]
