"""Which synthetic features are added to the real ones: how many, and to which classes."""

from __future__ import annotations

import numpy as np

from rembrandt_featgen.cohort.classes import Classes

ALL = "all"
MINORITY = "minority"


def receivers(classes: Classes) -> tuple[str, ...]:
    """What may be given synthetic features: all classes, the minority class, or one class by its name."""
    return (ALL, MINORITY, *classes.names)


def numbers(synthetic: np.ndarray, real: np.ndarray, *, added: int, receiver: str, classes: Classes) -> np.ndarray:
    """Numbers of the synthetic features that are added; more of them hold those of fewer.

    Args:
      synthetic: [n] labels of the synthetic features in the order of writing, in which the classes alternate.
      real: [m] labels of the real training features.
      added: how many, from 0 on; 0 is as many as can be.
      receiver: "all": the first ones, equally many of each class as long as there are; "minority": the first ones of
        the class that has the fewest real features, at most until it has as many as the largest; the name of a class:
        the first ones of that class.
      classes: of the run.

    Returns:
      [added] int, ascending.

    Raises:
      ValueError: there are fewer, the classes would be made unequal, or there is no such receiver.
    """
    if receiver not in receivers(classes):
        raise ValueError(f"{receiver!r} is no class: take one of {', '.join(receivers(classes))}")
    if receiver == ALL:
        where, whose = np.arange(len(synthetic)), "synthetic features"
    else:
        counts = np.bincount(real, minlength=classes.count)
        name = classes.names[int(np.argmin(counts))] if receiver == MINORITY else receiver
        where, whose = np.flatnonzero(np.asarray(synthetic) == classes.label(name)), f"synthetic {name} features"
    most = len(where)
    if receiver == MINORITY:
        gap = int(np.max(counts) - np.min(counts))
        if added > gap:
            raise ValueError(f"{gap} more of {name} make the classes equal, and more would undo it")
        most = min(gap, most)
    if added > len(where):
        raise ValueError(f"there are {len(where)} {whose}")
    return where[: added or most]
