"""The interface of whatever makes samples: a method is fitted to real samples, what was fitted draws of a class.

    fitted = METHODS["smote"].fit(features, labels, patients, num_classes=3, signed=True, seed=0)
    extra = fitted.draw(label=2, count=40, seed=1)

A method is a frozen dataclass of its settings, see `methods.METHODS`. It sees training patients only, never mixes two
classes, and measures distances and noise on the features as they come: who fits it scales them before.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import numpy as np
from threadpoolctl import ThreadpoolController

from rembrandt_featgen.generation.training_set import Samples

# From (label, count, seed) to flat features [count, size]; the count is from 1, and the label has samples.
FlatDraw = Callable[[int, int, int], np.ndarray]
# Multiplications of a search for neighbours, below which threads cost more than they save: where another process was
# busy, scikit-learn's waited for each other 30 times as long as the search of 500 x 20 numbers took on one.
_ONE_THREAD = 2**30


@functools.cache
def _threads() -> ThreadpoolController:
    """Looked up once, since it searches all libraries that are loaded."""
    return ThreadpoolController()


def stream(seed: int, label: int) -> np.random.Generator:
    """Random numbers of the draws of one class: what is drawn of another class does not change them."""
    return np.random.default_rng([seed, label])


@dataclasses.dataclass(frozen=True, eq=False)
class RealSamples:
    """What a method is fitted to.

    Attributes:
      flat: [n, size] float32 or float64.
      labels: [n] int64 in [0, num_classes).
      groups: [n] ids of patients.
      num_classes: from 1.
      signed: whether values below 0 are possible.
      seed: of what is random in the fit.
      shape: of a sample before it was made flat.
    """

    flat: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    num_classes: int
    signed: bool
    seed: int
    shape: tuple[int, ...]

    def of(self, label: int) -> np.ndarray:
        """[m, size] of one class."""
        return self.flat[self.labels == label]


def real_samples(
    features: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray | None,
    *,
    num_classes: int,
    signed: bool,
    seed: int,
) -> RealSamples:
    """Checks what a method is to be fitted to.

    Args:
      features: [n, *shape] floats, vectors [n, d] or maps [n, h, w, c], scaled; none is missing.
      labels: [n] int in [0, num_classes); a class may have none, and then none can be drawn.
      groups: [n] ids of patients, whose samples depend on each other; None where each is of another.
      num_classes: of the run.
      signed: whether values below 0 are possible. False for features after a ReLU: draws are then clipped at 0,
        and noise is added where a unit fired only.
      seed: from 0, of what is random in the fit.

    Raises:
      ValueError: lengths differ, a label is out of range, values are missing, infinite or, unsigned, below 0.
    """
    features, labels = np.asarray(features), np.asarray(labels)
    groups = np.arange(len(features)) if groups is None else np.asarray(groups)
    if not features.ndim >= 2 or not labels.shape == groups.shape == features.shape[:1] or not features.size:
        raise ValueError(
            f"a method needs features [n, ...], labels [n] and groups [n], none of them empty, received "
            f"{features.shape}, {labels.shape} and {groups.shape}"
        )
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(f"labels must be integers in [0, {num_classes}), received {np.unique(labels)}")
    low, high = features.min(), features.max()  # a value that is missing becomes both
    if not np.isfinite([low, high]).all():
        raise ValueError("features must be finite: missing values are imputed before samples are made of them")
    if not signed and low < 0:
        raise ValueError(f"unsigned features are from 0 on, received {low}; say that they are signed")
    dtype: type = np.float64 if features.dtype.itemsize > 4 or features.dtype.kind != "f" else np.float32
    return RealSamples(
        flat=features.astype(dtype, copy=False).reshape(len(features), -1),
        labels=labels.astype(np.int64),
        groups=groups,
        num_classes=num_classes,
        signed=signed,
        seed=seed,
        shape=features.shape[1:],
    )


@dataclasses.dataclass(frozen=True, eq=False)
class Fitted:
    """A method that was fitted.

    Attributes:
      flat_draw: draws flat features.
      shape: of a sample.
      real: [num_classes] numbers of the samples of each class to which it was fitted.
      signed: whether draws may be below 0.
      dtype: of the draws.
    """

    flat_draw: FlatDraw
    shape: tuple[int, ...]
    real: np.ndarray
    signed: bool
    dtype: type = np.float32

    def draw(self, label: int, count: int, seed: int) -> np.ndarray:
        """Draws samples of one class.

        Args:
          label: of the class.
          count: of samples, from 0.
          seed: from 0; the same seed draws the same.

        Returns:
          [count, *shape], of the dtype of the features of the fit (float32 where they were float16).

        Raises:
          ValueError: there is no such class, or it has no real sample, or the count or the seed is negative.
        """
        if not 0 <= label < len(self.real) or count < 0 or seed < 0:
            raise ValueError(
                f"draw needs a label in [0, {len(self.real)}), a count and a seed from 0, received {label}, {count} "
                f"and {seed}"
            )
        if count and not self.real[label]:
            raise ValueError(f"no sample of label {label} was there to fit, from which {count} are to be drawn")
        if not count:
            return np.zeros((0, *self.shape), self.dtype)
        n, size = int(self.real.sum()), int(np.prod(self.shape))
        with _threads().limit(limits=1 if n * n * size < _ONE_THREAD else None, user_api="openmp"):
            flat = self.flat_draw(label, count, seed)
        return (flat if self.signed else np.maximum(flat, 0)).reshape(count, *self.shape).astype(self.dtype, copy=False)

    def draw_all(self, wanted: Mapping[int, int], seed: int) -> Samples:
        """Draws samples of several classes.

        Args:
          wanted: label to count, as `training_set.counts` gives them.
          seed: from 0.

        Returns:
          The samples in order of their labels.
        """
        parts = [self.draw(label, wanted.get(label, 0), seed) for label in range(len(self.real))]
        labels = np.repeat(np.arange(len(self.real)), [len(part) for part in parts])
        return Samples(np.concatenate(parts), labels)


@dataclasses.dataclass(frozen=True)
class Method(abc.ABC):
    """A way to make samples; its fields are its settings.

    Attributes:
      kind: "classical", "generative" (models the distribution of the features) or "control".
      nested: whether more samples of a class begin with what fewer were, for the same seed.
    """

    kind: ClassVar[str] = "classical"
    nested: ClassVar[bool] = False

    def fit(
        self,
        features: np.ndarray,
        labels: np.ndarray,
        groups: np.ndarray | None,
        *,
        num_classes: int,
        signed: bool,
        seed: int,
    ) -> Fitted:
        """Fits the method to real samples, which are not changed; args as for `real_samples`."""
        real = real_samples(features, labels, groups, num_classes=num_classes, signed=signed, seed=seed)
        return self.fit_many([real])[0]

    def fit_many(self, reals: Sequence[RealSamples]) -> list[Fitted]:
        """Fits the method to each of several sets of real samples: what `fit` gives, networks but to rounding.

        Networks are trained together, in a fraction of the time that one after another would take.

        Args:
          reals: of `real_samples`.
        """
        return [
            Fitted(
                draw,
                shape=real.shape,
                real=np.bincount(real.labels, minlength=real.num_classes),
                signed=real.signed,
                dtype=real.flat.dtype.type,
            )
            for draw, real in zip(self.fit_each_flat(reals), reals)
        ]

    def fit_each_flat(self, reals: Sequence[RealSamples]) -> list[FlatDraw]:
        """Fits to each of several sets of flat features, one after another."""
        return [self.fit_flat(real) for real in reals]

    @abc.abstractmethod
    def fit_flat(self, real: RealSamples) -> FlatDraw:
        """Fits to flat features; `fit` has checked them, and clips what is drawn."""
