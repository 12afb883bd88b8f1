"""Few-shot plans: a class is cut to a few of its patients, again and again, and everyone who is left is tested."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from rembrandt_featgen.classification import classifier_kinds
from rembrandt_featgen.classification.classifier_kinds import CLASSIFIER_KINDS
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import engine, plans, trial_samples, trials
from rembrandt_featgen.evaluation.arms import ARMS
from rembrandt_featgen.evaluation.competitors import Settings
from rembrandt_featgen.evaluation.engine import Outcome, Part
from rembrandt_featgen.evaluation.gan_pools import GanPools
from rembrandt_featgen.evaluation.plans import Task
from rembrandt_featgen.evaluation.predictions import PredictionsTable
from rembrandt_featgen.evaluation.schedulers import Serial
from rembrandt_featgen.evaluation.trial_samples import Trial
from rembrandt_featgen.features.tables import FeatureTable

TESTED = 10  # groups of the class that is cut are left to test, at least
TOGETHER = 8  # tasks whose networks are trained in one graph
TUNED_FROM = 5  # groups of a class, from which on inner folds can choose a strength


def tasks(
    table: FeatureTable,
    *,
    draws: int,
    shots: Sequence[int],
    label: int,
    test: float,
    reserve: int = 0,
    division: int = 0,
) -> dict[int, list[Task]]:
    """The tasks of each number of shots; the patients of a draw's smaller number are among those of its larger ones.

    All numbers of shots test the same patients in a draw, and others in other draws, so that over all draws each
    patient is tested, and learnt from as well.

    Args:
      table: vectors or maps.
      draws: how often patients are drawn anew.
      shots: how many groups of the class are learnt from, each from 2.
      label: of the class that is cut.
      test: share of the groups of the other classes that a draw tests.
      reserve: see `reserved`.
      division: seed of the draws.

    Raises:
      InputError: a class has too few groups.
    """
    members = plans.groups_by_class(table)
    kept = reserved(table, shots=shots, label=label, reserve=reserve)
    found: dict[int, list[Task]] = {number: [] for number in shots}
    for draw in range(draws):
        order = [
            np.random.default_rng([division, draw, number]).permutation(groups) for number, groups in enumerate(members)
        ]
        others = np.concatenate(
            [
                groups[_tested(table, number, len(groups), share=test) :]
                for number, groups in enumerate(order)
                if number != label
            ]
        )
        of_class, most = order[label], max(shots)
        tested = _rows(table, np.concatenate([others, of_class[: most + kept]]), inside=False)
        more = _rows(table, of_class[most : most + kept])
        for number in shots:
            train = _rows(table, np.concatenate([others, of_class[:number]]))
            task = Task(
                "few-shot",
                draw,
                0,
                fold="0",
                seed=draw,
                train=train,
                validation=tested[:0],
                test=tested,
                reserve=more,
                division=(division, number),
            )
            found[number].append(task)
    return {number: plans.checked(table, each) for number, each in found.items()}


def reserved(table: FeatureTable, *, shots: Sequence[int], label: int, reserve: int) -> int:
    """How many further groups of a class that is cut the arm of real patients adds.

    Args:
      table, shots, label: as for `tasks`.
      reserve: that many, fewer where less than `TESTED` would be left to test.

    Raises:
      InputError: the class has too few groups for the largest of the shots.
    """
    groups = len(plans.groups_by_class(table)[label])
    left = groups - max(shots) - TESTED
    if left < 0:
        name, most = table.classes.names[label], groups - TESTED
        fix = f"take --shots up to {most}" if most >= 2 else "there are too few for a study of few shots"
        raise InputError(
            f"--shots={','.join(map(str, shots))}: class {name} has {groups} group{'s' * (groups != 1)} of patients, "
            f"of whom {TESTED} or more are to be tested; {fix}"
        )
    return min(reserve, left)


def trained(table: FeatureTable, planned: Mapping[int, Sequence[Task]]) -> dict[int, dict[int, list[str]]]:
    """Shots to draw to the patients who are learnt from."""
    return {
        number: {task.draw: np.unique(table.patients[task.train]).tolist() for task in each}
        for number, each in planned.items()
    }


@dataclasses.dataclass(frozen=True, eq=False)
class Work:
    """Does tasks of one table; those of each stretch of `together` share the training of networks of vectors.

    Attributes:
      table, settings: as for `trials.run`.
      tasks: in their order.
      gans: GANs of maps, which each task trains for itself; what they made is "generators" among its choices.
      together: see `engine.Part`; results depend on it.
      prepared: trials of the stretch that was begun last, by task.
    """

    table: FeatureTable
    tasks: Sequence[Task]
    settings: Settings
    gans: GanPools | None = None
    together: int = TOGETHER
    prepared: dict[str, Trial] = dataclasses.field(default_factory=dict)

    def __call__(self, task: Task) -> Outcome:
        """The outcome of one of the tasks."""
        table, settings = self.table, self.settings
        if self.gans is not None and self.gans.kinds:
            made = self.gans.of_task(table, task)
            outcome = trials.run(table, task, dataclasses.replace(settings, pools={**settings.pools, **made.pools}))
            return outcome._replace(choices=outcome.choices | {"generators": made.notes})
        if task.name not in self.prepared:
            first = [one.name for one in self.tasks].index(task.name) // self.together * self.together
            together = self.tasks[first : first + self.together]
            self.prepared.clear()
            names = (one.name for one in together)
            self.prepared.update(zip(names, trial_samples.fitted(table, together, settings)))
        return trials.run(table, task, settings, trial=self.prepared[task.name])


def part(
    table: FeatureTable,
    tasks: Sequence[Task],
    settings: Settings,
    *,
    folder: Path,
    gans: GanPools | None = None,
    together: int = TOGETHER,
    name: str = "",
) -> Part:
    """Some tasks of one table, for `engine.run_parts`.

    A draw is a function of its stretch: of its number, and of how many draws there are where it is in the last one.

    Args:
      table, tasks, settings, gans, together: see `Work`.
      folder, name: keeps what is done, and says which part it is, see `engine.Part`.
    """
    alone = gans is not None and gans.kinds
    work = Work(table, tasks, settings, gans=gans, together=together)
    return Part(tasks, work, folder, together=1 if alone else together, name=name)


def serving(tasks: Sequence[Task], known: Mapping[int, Outcome], *, together: int = TOGETHER) -> dict[int, Outcome]:
    """Of draws that are known, those whose whole stretch is, so that new ones do not change what they would be.

    Args:
      tasks: of a study, in their order.
      known: draw to outcome, of one with fewer draws.
      together: see `Work`.
    """
    stretches = (tasks[first : first + together] for first in range(0, len(tasks), together))
    return {
        task.draw: known[task.draw]
        for stretch in stretches
        if all(one.draw in known for one in stretch)
        for task in stretch
    }


def predict(table: FeatureTable, tasks: Sequence[Task], settings: Settings, *, folder: Path) -> PredictionsTable:
    """Predictions of the test samples by all tasks, see `part`."""
    (outcomes,) = engine.run_parts([part(table, tasks, settings, folder=folder)], Serial())
    return engine.gather(outcomes)


def numbers(shots: Sequence[str]) -> list[int]:
    """Numbers of --shots, from few to many; InputError where they are none."""
    given = f"--shots={','.join(shots)}"
    try:
        found = sorted({int(text) for text in shots})
    except ValueError as error:
        raise InputError(f"{given}: write whole numbers, such as 3,5,10") from error
    if not found or found[0] < 2:
        raise InputError(f"{given}: two patients or more are needed to learn how they differ; such as 3,5,10")
    return found


def check_kind(table: FeatureTable, where: str, *, classifiers: Sequence[str], arms: Sequence[str]) -> None:
    """InputError for classifiers or arms of vectors where features are maps, or the other way round.

    Args:
      table: the features.
      where: the flag of its file.
      classifiers, arms: that are to compete.
    """
    held = f"and {where} holds {table.kind}"
    for name in classifiers:
        if classifier_kinds.kind_of(name).of_maps != table.is_map:
            fitting = ", ".join(known for known, kind in CLASSIFIER_KINDS.items() if kind.of_maps == table.is_map)
            raise InputError(
                f"--few_shot_classifiers={','.join(classifiers)}: {name} is of "
                f"{'vectors' if table.is_map else 'maps'}, {held}; take some of {fitting}"
            )
    for name in arms:
        if ARMS[name].pool and not table.is_map:
            raise InputError(
                f"--few_shot_arms: {name} generates maps, {held}; leave it out, or give an .npz file with features "
                "[n, height, width, channels]"
            )
        if ARMS[name].inputs != "features" and table.is_map:
            raise InputError(f"--few_shot_arms: {name} has clinical columns beside vectors, {held}; leave it out")


def strengths(names: Sequence[str], fixed: Sequence[str], shots: int) -> dict[str, float]:
    """Classifier to the strength of its regularisation, of those for which there are too few patients to choose it.

    Args:
      names: of the classifiers.
      fixed: of them, with strengths, such as "mlp@10".
      shots: groups of the class that is cut.

    Raises:
      InputError: a classifier has none, or two, or one of `fixed` has no strength.
    """
    given: dict[str, float] = {}
    for name in fixed:
        base = classifier_kinds.base_of(name)
        if "@" not in name or base in given:
            wrong = "has no strength" if base not in given else "has two strengths"
            raise InputError(f"--fixed_strengths={','.join(fixed)}: {base} {wrong}; give one, such as {base}@10")
        given[base] = classifier_kinds.kind_of(name).strengths[0]
    if shots >= TUNED_FROM:
        return {}
    missing = [name for name in names if "@" not in name and name not in given]
    if missing:
        raise InputError(
            f"--fixed_strengths={','.join(fixed)}: with {shots} groups of patients nothing can be chosen for "
            f"{missing[0]}; add {missing[0]}@ and a strength, or name it with one in --few_shot_classifiers"
        )
    return {name: given[name] for name in names if "@" not in name}


def _rows(table, groups, *, inside=True) -> np.ndarray:
    """Numbers of the samples of some groups, or of all others."""
    return np.flatnonzero(np.isin(table.groups, groups) == inside)


def _tested(table, label, groups, *, share) -> int:
    """Groups of a class that is not cut which are tested."""
    if groups < 2:
        raise InputError(
            f"class {table.classes.names[label]} has {groups} group{'s' * (groups != 1)} of patients where two or more "
            "are needed, one to learn from and one to test; add patients of it"
        )
    return min(max(1, round(share * groups)), groups - 1)
