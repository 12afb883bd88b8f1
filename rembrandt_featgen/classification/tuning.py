"""Choice of each arm's regularisation by inner cross-validation on training samples alone.

Every task (an arm of a draw, say) tries the same strengths on folds that keep groups whole; all inner trainings of many
tasks are one call of `classifier_kinds.train`.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from rembrandt_featgen.classification import classifier_kinds, training_problems
from rembrandt_featgen.classification.classifier_kinds import CLASSIFIER_KINDS, ClassifierSettings
from rembrandt_featgen.classification.training_problems import Problem
from rembrandt_featgen.cohort.groups import by_class, deal

FOLDS = 5
# Tasks whose inner samples and models are in memory at a time: so many, of so many bytes of training samples at most.
_AT_ONCE, _BYTES_AT_ONCE = 48, 64 * 2**20
_SURE = 1e-7  # no probability is taken to be below it

# (train rows, validation rows) to the problem of an inner training part and the features of its validation part. What
# is fitted (imputing, scaling, PCA) and what is drawn (oversampling, say) sees the rows of the training part alone.
MakeProblem = Callable[[np.ndarray, np.ndarray], "tuple[Problem, np.ndarray]"]


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
    """What is to be tuned.

    Attributes:
      labels: [n] int64 of the training samples.
      groups: [n] what no fold divides.
      make: see `MakeProblem`; rows are those of `labels`.
      seed: from 0, of the folds: tasks of the same samples and seed have the same ones.
      size: bytes of the training samples, from which follows how many tasks are done at a time.
    """

    labels: np.ndarray
    groups: np.ndarray
    make: MakeProblem
    seed: int = 0
    size: int = 0


@dataclasses.dataclass(frozen=True, eq=False)
class Choice:
    """The strength that was chosen, of those tried, and their losses [strengths, folds]."""

    strength: float
    strengths: tuple[float, ...]
    losses: np.ndarray


def tune(
    tasks: Sequence[Task], settings: ClassifierSettings, *, strengths: Sequence[float] = (), folds: int = FOLDS
) -> list[Choice]:
    """Chooses a strength for each task, by the lowest `group_log_loss` of `balanced` probabilities in inner folds.

    Args:
      tasks: with the same number of classes; problems of the same shape of a sample are trained together.
      settings: their class says which kind of classifier.
      strengths: to try, from weak to strong; () for those of the kind.
      folds: of each task, fewer where a class has fewer groups, see `inner_folds`.

    Returns:
      A choice for each task; without any fold the strongest.
    """
    strengths = tuple(strengths) or next(
        kind.strengths for kind in CLASSIFIER_KINDS.values() if isinstance(settings, kind.settings)
    )
    choices: list[Choice] = []
    sizes = [max(task.size, _BYTES_AT_ONCE // _AT_ONCE) for task in tasks]
    for run in training_problems.chunks(range(len(tasks)), sizes, _BYTES_AT_ONCE):
        choices += _tune_some([tasks[number] for number in run], settings, strengths, folds=folds)
    return choices


def between(strengths: Sequence[float], share: float) -> tuple[float, ...]:
    """Strengths that lie, in their logarithm, that share of the way to the next; the last one as far beyond itself.

    Args:
      strengths: from weak to strong, above 0; of whole numbers whole numbers come.
      share: from 0 (the strengths themselves) to below 1.
    """
    if share == 0 or len(strengths) == 1:
        return tuple(strengths)
    logs = np.log(strengths)
    steps = np.append(np.diff(logs), logs[-1] - logs[-2])
    moved = np.exp(logs + share * steps).tolist()
    return tuple(map(round, moved)) if all(isinstance(one, int) for one in strengths) else tuple(moved)


def inner_folds(
    labels: np.ndarray, groups: np.ndarray, folds: int, *, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Divides samples into folds that keep groups whole and have groups of each class in like numbers.

    A group of several classes counts as one of the rarest of these, see `cohort.groups.by_class`. Where a class has
    fewer groups than folds, there are as many folds as it has groups. A class of one group cannot be trained and
    validated: its group is in the training part of every fold, and the others decide.

    Args:
      labels: [n] int64.
      groups: [n].
      folds: from 2.
      seed: from 0.

    Returns:
      (train rows, validation rows) of each fold; each group but those of the last sentence is validated once. None
      where fewer than two classes have two groups: one class alone says nothing of how to tell it from others.
    """
    divided = [
        names if len(names) > 1 else names[:0] for names in by_class(groups, labels, int(labels.max(initial=-1)) + 1)
    ]
    counts = [len(names) for names in divided if len(names)]
    if len(counts) < 2:
        return []
    folds = min(folds, *counts)
    fold_of = deal(divided, folds, key=[seed])
    names, inverse = np.unique(groups, return_inverse=True)
    by_sample = np.array([fold_of.get(str(name), -1) for name in names])[inverse]
    return [(np.flatnonzero(by_sample != fold), np.flatnonzero(by_sample == fold)) for fold in range(folds)]


def balanced(probabilities: np.ndarray, problem: Problem) -> np.ndarray:
    """Probabilities as they would be of a training in which classes weigh the same (Saerens et al. 2002).

    Arms differ in how far they balance the classes. Of this all are judged alike, and a classifier that has learned
    nothing but how frequent classes are comes to 1 / classes, which is what strong regularisation should lead to.

    Args:
      probabilities: [m, classes].
      problem: on which the classifier was trained.
    """
    corrected = probabilities / problem.shares()
    return corrected / corrected.sum(1, keepdims=True)


def group_log_loss(labels: np.ndarray, groups: np.ndarray, probabilities: np.ndarray) -> float:
    """Log loss where groups count the same within a class, and classes count the same.

    Samples of a group are not independent, so that groups of many would decide alone.

    Args:
      labels: [m] int64.
      groups: [m].
      probabilities: [m, classes].
    """
    losses = -np.log(np.maximum(probabilities[np.arange(len(labels)), labels], _SURE))
    by_class = []
    for label in np.unique(labels):
        _, inverse = np.unique(groups[labels == label], return_inverse=True)
        by_class.append(np.mean(np.bincount(inverse, losses[labels == label]) / np.bincount(inverse)))
    return float(np.mean(by_class))


def choose(losses: np.ndarray) -> int:
    """Index of the strength of the lowest mean loss; of equal ones the strongest.

    Args:
      losses: [strengths, folds], from the weakest on; a loss that is not finite counts as infinite. Without any fold
        the strongest is chosen.
    """
    losses = np.asarray(losses, np.float64)
    if losses.shape[1] == 0:
        return len(losses) - 1
    means = np.where(np.isfinite(losses), losses, np.inf).mean(1)
    return int(np.flatnonzero(means <= means.min() + 1e-9 * abs(means.min()))[-1])


def _tune_some(tasks, settings, strengths, *, folds) -> Iterator[Choice]:
    divisions = [inner_folds(task.labels, task.groups, folds, seed=task.seed) for task in tasks]
    inner = [
        (task, validation, *task.make(rows, validation))
        for task, parts in zip(tasks, divisions)
        for rows, validation in parts
    ]
    losses = np.zeros((len(inner), len(strengths)))
    for numbers in _alike([problem for _, _, problem, _ in inner]):
        problems = [inner[number][2] for number in numbers for _ in strengths]
        models = iter(classifier_kinds.train(problems, settings, strength=[*strengths] * len(numbers)))
        for number in numbers:
            task, rows, problem, features = inner[number]
            losses[number] = [
                group_log_loss(task.labels[rows], task.groups[rows], balanced(model.probabilities(features), problem))
                for model in itertools.islice(models, len(strengths))
            ]
    start = 0
    for parts in divisions:
        its_losses = losses[start : start + len(parts)].T
        start += len(parts)
        yield Choice(strengths[choose(its_losses)], strengths, its_losses)


def _alike(problems) -> list[list[int]]:
    """Numbers of the problems of each shape of a sample: few training samples span fewer principal components."""
    numbers: dict[tuple, list[int]] = {}
    for number, problem in enumerate(problems):
        numbers.setdefault(problem.features.shape[1:], []).append(number)
    return list(numbers.values())
