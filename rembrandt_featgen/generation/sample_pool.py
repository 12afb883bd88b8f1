"""Samples that were made before, by a generator of maps or by somebody else's, drawn like those of a method."""

from __future__ import annotations

import dataclasses

import numpy as np

from rembrandt_featgen.generation.sampling_method import stream


@dataclasses.dataclass(frozen=True, eq=False)
class SamplePool:
    """Draws without replacement; more samples of a class begin with what fewer were.

    Attributes:
      features: [n, *shape], made from the training patients alone.
      labels: [n] int.
      groups: [n] of the patients of whom each sample is a changed copy; None where no sample is of one patient.

    Raises:
      ValueError: lengths differ.
    """

    features: np.ndarray
    labels: np.ndarray
    groups: np.ndarray | None = None

    def __post_init__(self):
        """Checks lengths."""
        for name, column in ("labels", self.labels), ("groups", self.groups):
            if column is not None and len(self.features) != len(column):
                raise ValueError(f"a pool of {len(self.features)} features has {len(column)} {name}")

    def of_groups(self, groups: np.ndarray) -> SamplePool:
        """The samples that are no copies of other patients than those of some groups: what these alone could give."""
        if self.groups is None:
            return self
        rows = np.isin(self.groups, groups)
        return SamplePool(self.features[rows], self.labels[rows], self.groups[rows])

    def draw(self, label: int, count: int, seed: int) -> np.ndarray:
        """[count, *shape] float32 of a class, or all there are where these are fewer; the same seed draws the same."""
        return self.features[self.rows(label, count, stream(seed, label))].astype(np.float32)

    def rows(self, label: int, count: int, random: np.random.Generator) -> np.ndarray:
        """[count or fewer] numbers of samples of a class, in an order that does not depend on the count."""
        return random.permutation(np.flatnonzero(self.labels == label))[:count]
