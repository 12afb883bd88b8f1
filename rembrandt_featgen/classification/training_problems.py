"""What a classifier is trained on: samples, their weights, the loss, and how pairs of them are mixed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

# Alpha of the Beta(alpha, alpha) from which the share of a sample in a pair is drawn, by where pairs are mixed.
ALPHAS = {"input": 0.2, "manifold": 2.0}  # Zhang et al. 2018: 0.1 to 0.4; Verma et al. 2019
MIXED_COPIES = 8  # pairs of each sample, for classifiers that see all samples at once


@dataclasses.dataclass(frozen=True, eq=False)
class Problem:
    """One training of a classifier; problems that share `features` (the same array) share its memory.

    Attributes:
      features: [n, d] or [n, h, w, c] float32, imputed and scaled.
      labels: [n] int64 in [0, classes).
      classes: how many there are, whether or not each has a sample here.
      weights: [n] from 0, of the samples, up to a common factor; None weighs all alike.
      focusing: gamma of the focal loss (Lin et al. 2017), from 0; 0 is cross-entropy.
      mixing: None, "input" (mixup, Zhang et al. 2018) or "manifold" (manifold mixup, Verma et al. 2019).
      seed: from 0; of all that is drawn.
      epoch: how many samples are seen in an epoch, by classifiers that have epochs; None sees all of them. Trainings
        that are compared take equally many steps, however many samples each has.
    """

    features: np.ndarray
    labels: np.ndarray
    classes: int
    weights: np.ndarray | None = None
    focusing: float = 0.0
    mixing: str | None = None
    seed: int = 0
    epoch: int | None = None

    def __post_init__(self):
        shape = np.shape(self.features)
        if len(shape) not in (2, 4) or 0 in shape or not np.isfinite(self.features).all():
            raise ValueError(
                f"features must be finite numbers [n, d] or [n, h, w, c], received shape {shape} or NaN among them"
            )
        if np.shape(self.labels) != shape[:1] or np.min(self.labels) < 0 or np.max(self.labels) >= self.classes:
            raise ValueError(f"labels must be [{shape[0]}] from 0 to {self.classes - 1}, received {self.labels!r}")
        if self.weights is not None and (
            np.shape(self.weights) != shape[:1] or np.min(self.weights) < 0 or np.sum(self.weights) <= 0
        ):
            raise ValueError(f"weights must be [{shape[0]}] from 0 and not all 0, received {self.weights!r}")
        if self.classes < 2 or self.focusing < 0 or self.mixing not in (None, *ALPHAS):
            raise ValueError(
                f"a problem needs 2 or more classes, focusing from 0, and mixing of {', '.join(ALPHAS)} or None, "
                f"received {self.classes}, {self.focusing} and {self.mixing!r}"
            )
        if self.seen < 1:
            raise ValueError(f"an epoch sees one sample or more, received {self.epoch}")

    @property
    def seen(self) -> int:
        """Samples in an epoch."""
        return len(self.labels) if self.epoch is None else self.epoch

    @property
    def alpha(self) -> float:
        """Of the Beta distribution of shares; 0 where nothing is mixed."""
        return ALPHAS[self.mixing] if self.mixing else 0.0

    def targets(self) -> np.ndarray:
        """[n, classes] float64: a sample's weight, mean 1 over samples, in the column of its class, else 0."""
        weights = np.ones(len(self.labels)) if self.weights is None else np.asarray(self.weights, np.float64)
        targets = np.zeros((len(self.labels), self.classes))
        targets[np.arange(len(self.labels)), self.labels] = weights / weights.mean()
        return targets

    def shares(self) -> np.ndarray:
        """[classes] float64 of the weight of all samples, with one sample more of each class: none is 0."""
        weights = self.targets().sum(0) + 1.0
        return weights / weights.sum()


def epoch_order(n: int, seen: int, random: np.random.Generator) -> np.ndarray:
    """[seen] int numbers of the samples of an epoch, of n: each once, or some of them, or all again and again."""
    rounds = [random.permutation(n) for _ in range(max(1, -(-seen // n)))]
    return np.concatenate(rounds)[:seen]


def class_basis(classes: int) -> np.ndarray:
    """[classes, outputs] float64 that makes logits of all classes of a network's outputs.

    Two classes have one output, the logit of the second one. More have one less than there are, on orthonormal axes
    orthogonal to (1, ..., 1): a softmax does not change along it, and the squared norm of weights stays as it is.
    """
    if classes == 2:
        return np.array([[0.0], [1.0]])
    spread = np.eye(classes) - 1.0 / classes
    return np.linalg.svd(spread)[0][:, : classes - 1]


def all_mixed(problem: Problem, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mixed samples for a classifier that sees all samples at once; what is not to be mixed comes back as it is.

    Each sample is mixed with eight others, drawn with their shares by the problem's seed. There is nothing between the
    input and the output of such classifiers, so manifold mixup mixes the input, too, with its own alpha.

    Args:
      problem: whose samples and targets.
      rows: [n, r] what stands for the problem's features: themselves or a linear map of them.

    Returns:
      rows [m, r] and weighted targets [m, classes], with shares of two classes in a row, n in all.
    """
    targets = problem.targets()
    if not problem.mixing:
        return rows, targets
    random = np.random.default_rng([problem.seed, 1])
    n = len(rows)
    first = np.tile(np.arange(n), MIXED_COPIES)
    # a step of 1 to n - 1 on from the sample is never the sample itself
    second = (first + random.integers(1, max(n, 2), len(first))) % n
    share = random.beta(problem.alpha, problem.alpha, len(first))[:, None]
    targets = targets / MIXED_COPIES
    return share * rows[first] + (1 - share) * rows[second], share * targets[first] + (1 - share) * targets[second]


def first_of_features(problems: Sequence[Problem]) -> list[int]:
    """Of each problem the number of the first one with the same array of features.

    To sort by it puts those of the same features together, always in the same order: the last bits of a solution depend
    on its place among those that are solved together, and so on addresses in memory, were problems sorted by these.
    """
    firsts: dict[int, int] = {}
    return [firsts.setdefault(id(problem.features), number) for number, problem in enumerate(problems)]


def chunks(numbers: Iterable[int], sizes: Sequence[int], limit: int) -> Iterator[list[int]]:
    """Divides problems into runs of at most `limit` bytes together, and of one problem at least.

    Args:
      numbers: of the problems, in the order in which they are to be done.
      sizes: bytes of each problem, by its number; each of a run takes as much as the largest, as they are padded to it.
      limit: bytes.
    """
    run: list[int] = []
    largest = 0
    for number in numbers:
        if run and max(largest, sizes[number]) * (len(run) + 1) > limit:
            yield run
            run, largest = [], 0
        run.append(number)
        largest = max(largest, sizes[number])
    if run:
        yield run
