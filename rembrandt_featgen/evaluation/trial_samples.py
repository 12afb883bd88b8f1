"""What the classifiers of a task share: training samples, prepared once, whole and in inner folds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from rembrandt_featgen.classification import tuning
from rembrandt_featgen.classification.training_problems import Problem
from rembrandt_featgen.evaluation import arms, predictions
from rembrandt_featgen.evaluation.arms import ARMS, TrainingSamples
from rembrandt_featgen.evaluation.competitors import Pipeline, Settings
from rembrandt_featgen.evaluation.plans import Task
from rembrandt_featgen.features import scaling, vector_preparation
from rembrandt_featgen.features.scaling import MapPreparation
from rembrandt_featgen.features.tables import FeatureTable
from rembrandt_featgen.features.vector_preparation import VectorPreparation
from rembrandt_featgen.generation.methods import METHODS
from rembrandt_featgen.generation.network_method import NetworkMethod
from rembrandt_featgen.generation.sampling_method import Fitted
from rembrandt_featgen.generation.training_set import Samples


class Part(NamedTuple):
    """Samples that are trained on, and what they say of how features are prepared. All pipelines share the arrays."""

    preparation: VectorPreparation | MapPreparation
    samples: TrainingSamples

    @classmethod
    def of(cls, table: FeatureTable, rows: np.ndarray, settings: Settings) -> Part:
        """Those of some rows of a table."""
        values = table.values[rows]
        preparation: VectorPreparation | MapPreparation
        if table.is_map:
            preparation = scaling.fit(values)
        else:
            preparation = vector_preparation.fit(values, components=settings.components)
        return cls(preparation, TrainingSamples(preparation.apply(values), table.labels[rows], table.groups[rows]))


@dataclasses.dataclass(frozen=True, eq=False)
class Trial:
    """What the classifiers of a task share.

    Attributes:
      table, task, settings: as of `trials.run`.
      outer: the training samples.
      inner: of each inner fold, by its training rows.
      fits: methods that were fitted, by arm and part, see `fitted`.
    """

    table: FeatureTable
    task: Task
    settings: Settings
    outer: Part
    inner: dict[bytes, Part]
    fits: dict[tuple[str, int], Fitted] = dataclasses.field(default_factory=dict)

    @property
    def shares(self) -> np.ndarray:
        """[classes] of the training samples, with one more of each class, as `Problem.shares` has them."""
        counts = np.bincount(self.table.labels[self.task.train], minlength=self.table.classes.count) + 1.0
        return counts / counts.sum()

    @classmethod
    def of(cls, table: FeatureTable, task: Task, settings: Settings) -> Trial:
        """A trial of a task; all arms of the settings learn from the columns of the table."""
        labels, groups = table.labels[task.train], table.groups[task.train]
        folds = tuning.inner_folds(labels, groups, settings.inner_folds, seed=task.training_seed)

        inner = {rows.tobytes(): Part.of(table, task.train[rows], settings) for rows, _ in folds}
        return cls(table, task, settings, outer=Part.of(table, task.train, settings), inner=inner)

    @property
    def signed(self) -> bool:
        """Whether prepared features may be below 0: standardised ones are, maps are as they came."""
        return self.table.signed or not self.table.is_map

    def draw(self, arm: str, part: Part) -> Callable[[int, int, int], np.ndarray] | None:
        """From (label, count, seed) to samples of an arm's pool, prepared as those of a part; None without a pool."""
        pool = self.settings.pools.get(arm)
        if pool is None:
            return None
        pool = pool.of_groups(part.samples.groups)  # no copy of a patient whom an inner fold judges
        return lambda label, count, seed: part.preparation.apply(pool.draw(label, count, seed))

    def problem(self, one: Pipeline, part: Part) -> Problem:
        """What a pipeline trains a classifier on, of some of the samples."""
        return arms.problem(
            ARMS[one.arm],
            part.samples,
            amount=one.amount,
            num_classes=self.table.classes.count,
            signed=self.signed,
            seed=self.task.training_seed,
            draw=self.draw(one.arm, part),
            reserve=self.reserve(part) if ARMS[one.arm].reserve else None,
            fitted=self.fitted(one.arm, part),
            class_names=self.table.classes.names,
        )

    def fitted(self, arm: str, part: Part) -> Fitted | None:
        """The method of an arm, fitted to a part of the vectors once for all amounts and classifiers.

        Networks are trained for all parts of the trial together. None of an arm without a method, and of maps: what is
        fitted to some of them takes hundreds of MiB.
        """
        if not ARMS[arm].method or self.table.is_map:
            return None
        if (arm, id(part)) not in self.fits:
            if isinstance(METHODS[ARMS[arm].adds], NetworkMethod):
                _fit(arm, [(self, one) for one in self.parts])
            else:
                _fit(arm, [(self, part)])
        return self.fits[arm, id(part)]

    @property
    def parts(self) -> list[Part]:
        """The training samples, and those of each inner fold."""
        return [self.outer, *self.inner.values()]

    def reserve(self, part: Part) -> Samples:
        """The samples that the plan keeps in reserve, prepared as those of a part."""
        rows = self.task.reserve
        return Samples(part.preparation.apply(self.table.values[rows]), self.table.labels[rows])

    def real_odds(self, probabilities: np.ndarray, problem: Problem) -> np.ndarray:
        """Probabilities as they would be of a training in which classes are as frequent as among the real samples.

        Arms differ in how far they balance the classes, which moves all of their probabilities. Without that, folds
        of unlike cohorts are pooled alike for all, and log loss and calibration compare what arms have learned.
        """
        corrected = tuning.balanced(probabilities, problem) * self.shares
        return corrected / corrected.sum(1, keepdims=True)

    def test_samples(self) -> predictions.Samples:
        """Whose the test samples are."""
        table, rows = self.table, self.task.test
        return predictions.Samples(
            table.patients[rows],
            table.samples[rows],
            table.labels[rows],
            groups=table.groups[rows],
            sites=None if table.sites is None else table.sites[rows],
        )


def fitted(table: FeatureTable, tasks: Sequence[Task], settings: Settings) -> list[Trial]:
    """The trial of each of some tasks, with arms that learn from the features alone; networks are trained for all.

    A graph that trains the networks of many parts takes a third of the time of one for each.
    """
    names = tuple(name for name in settings.arms if ARMS[name].inputs == "features")
    trials = [Trial.of(table, task, dataclasses.replace(settings, arms=names)) for task in tasks]
    for name in names:
        if ARMS[name].method and isinstance(METHODS[ARMS[name].adds], NetworkMethod) and not table.is_map:
            _fit(name, [(trial, part) for trial in trials for part in trial.parts])
    return trials


def _fit(arm: str, parts: Sequence[tuple[Trial, Part]]) -> None:
    """Fits the method of an arm to some parts of trials, which keep what comes of it."""
    reals = [
        arms.real_samples(
            ARMS[arm],
            part.samples,
            num_classes=trial.table.classes.count,
            signed=trial.signed,
            seed=trial.task.training_seed,
        )
        for trial, part in parts
    ]
    for (trial, part), one in zip(parts, METHODS[ARMS[arm].adds].fit_many(reals)):
        trial.fits[arm, id(part)] = one
