"""SMOTE and borderline SMOTE, by imbalanced-learn.

Both know samples from 0 on as well as signed ones: a point between two samples has no value beyond theirs.
"""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
from imblearn import over_sampling

from rembrandt_featgen.generation.sampling_method import FlatDraw, Method, RealSamples


@dataclasses.dataclass(frozen=True)
class Smote(Method):
    """Points drawn evenly between a sample and one of its nearest of the same class; one alone is repeated.

    Attributes:
      neighbours: of each sample, 5 in the reference; at most as many as there are.

    Reference: Chawla et al., SMOTE: Synthetic Minority Over-sampling Technique, 2002.
    """

    neighbours: int = 5

    def __post_init__(self):
        """Checks the settings."""
        if self.neighbours < 1:
            raise ValueError(f"neighbours must be from 1, received {self.neighbours}")

    def fit_flat(self, real: RealSamples) -> FlatDraw:
        """Remembers the samples; imbalanced-learn fits and draws in one."""

        def draw(label: int, count: int, seed: int) -> np.ndarray:
            of_class = real.of(label)
            if len(of_class) == 1:
                return of_class[np.zeros(count, np.int64)]
            sampler = over_sampling.SMOTE(
                k_neighbors=min(self.neighbours, len(of_class) - 1),
                sampling_strategy={0: len(of_class) + count},
                random_state=_random_state(real, label, seed),
            )
            # imbalanced-learn asks for a second class, which takes no part.
            return _extra(sampler, np.concatenate([of_class, of_class[:1]]), np.repeat([0, 1], [len(of_class), 1]))

        return draw


@dataclasses.dataclass(frozen=True)
class BorderlineSmote(Smote):
    """Borderline-SMOTE 1: SMOTE from those samples only most of whose nearest, but not all, are of another class.

    They are said to be in danger; a class without any gets plain SMOTE.

    Attributes:
      neighbours: as for `Smote`.
      danger_neighbours: of any class, by which a sample is judged; imbalanced-learn's default.

    Reference: Han et al., Borderline-SMOTE, 2005.
    """

    danger_neighbours: int = 10

    def __post_init__(self):
        """Checks the settings."""
        super().__post_init__()
        if self.danger_neighbours < 1:
            raise ValueError(f"danger_neighbours must be from 1, received {self.danger_neighbours}")

    def fit_flat(self, real: RealSamples) -> FlatDraw:
        """As for `Smote`."""
        plain = super().fit_flat(real)

        def draw(label: int, count: int, seed: int) -> np.ndarray:
            n, of_class = len(real.labels), int(np.sum(real.labels == label))
            if of_class in (1, n):
                return plain(label, count, seed)
            sampler = over_sampling.BorderlineSMOTE(
                k_neighbors=min(self.neighbours, of_class - 1),
                m_neighbors=min(self.danger_neighbours, n - 1),
                sampling_strategy={label: of_class + count},
                random_state=_random_state(real, label, seed),
            )
            extra = _extra(sampler, real.flat, real.labels)
            return extra if len(extra) else plain(label, count, seed)  # none where no sample is in danger

        return draw


def _random_state(real: RealSamples, label: int, seed: int) -> int:
    """A seed for each class of a run."""
    return (real.num_classes * seed + label) % 2**32


def _extra(sampler, flat: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """What a sampler adds: it puts the real samples first."""
    with warnings.catch_warnings():
        # That a class becomes larger than the largest is meant.
        warnings.filterwarnings("ignore", "After over-sampling", UserWarning)
        return sampler.fit_resample(flat, labels)[0][len(flat) :]
