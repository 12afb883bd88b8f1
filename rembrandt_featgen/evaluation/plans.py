"""Plans: which samples of a table train, validate and test, how often, with which seeds. No plan divides a group."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from rembrandt_featgen.cohort.splits import check_disjoint
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.features.tables import FeatureTable, joined

PLANS = ("k-fold", "hold-out", "sites", "few-shot")


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
    """One division of the samples, and one seed; independent of all other tasks of its plan.

    Attributes:
      plan: one of `PLANS`.
      draw: how often patients have been divided before, or training patients drawn.
      fold: "0", "1", ... or the name of the site that is tested.
      seed: of everything that is trained.
      train, validation, test: numbers of rows of the table. A few-shot task has no validation rows.
    """

    plan: str
    draw: int
    fold: str
    seed: int
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    @property
    def name(self) -> str:
        """Unique in its plan, and fit for a file's name."""
        fold = "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in self.fold)
        return f"draw{self.draw}-fold{fold}-seed{self.seed}"


def k_fold(
    table: FeatureTable, *, folds: int, repeats: int, seeds: Sequence[int], validation: float, division: int = 0
) -> list[Task]:
    """Every group is tested once in each repeat and seed.

    Args:
      table: whose groups are divided, stratified by class.
      folds: 2 or more.
      repeats: how often groups are divided anew.
      seeds: of the trainings of each fold.
      validation: share of the groups that are not tested, in (0, 1).
      division: seed of the division.

    Raises:
      InputError: a class has fewer groups than folds, or too few for each of the three parts.
    """
    groups = groups_by_class(table)
    fewest = min(range(table.classes.count), key=lambda label: len(groups[label]))
    if len(groups[fewest]) < folds:
        raise InputError(
            f"--cv_folds={folds}: class {table.classes.names[fewest]} has {len(groups[fewest])} groups of patients, "
            "and each fold tests one or more; take fewer folds"
        )
    tasks = []
    for repeat in range(repeats):
        for fold, (rest, test) in enumerate(
            _stratified(table, np.arange(len(table)), folds=folds, key=[division, repeat])
        ):
            train, held_out = _validation(table, rest, share=validation, key=[division, repeat, fold + 1])
            tasks += [
                Task("k-fold", repeat, str(fold), seed=seed, train=train, validation=held_out, test=test)
                for seed in seeds
            ]
    return _checked(table, tasks)


def hold_out(
    table: FeatureTable, *, test: float, validation: float, seeds: Sequence[int], division: int = 0
) -> list[Task]:
    """One division of the groups, trained with each seed.

    Args:
      table: whose groups are divided, stratified by class.
      test: share of the groups that are tested, in (0, 1).
      validation: share of the others.
      seeds: of the trainings.
      division: seed of the division.

    Raises:
      InputError: a class has too few groups for each of the three parts.
    """
    rest, tested = _validation(table, np.arange(len(table)), share=test, key=[division, 0])
    train, held_out = _validation(table, rest, share=validation, key=[division, 0, 1])
    return _checked(
        table, [Task("hold-out", 0, "0", seed=seed, train=train, validation=held_out, test=tested) for seed in seeds]
    )


def given(parts: Mapping[str, FeatureTable], seeds: Sequence[int]) -> tuple[FeatureTable, list[Task]]:
    """One division that was made before, such as a run's own split, trained with each seed.

    Args:
      parts: tables of "train", "validation" and "test".
      seeds: of the trainings.

    Returns:
      One table of all samples, and the tasks.
    """
    table = joined(list(parts.values()))
    ends = np.cumsum([len(part) for part in parts.values()])
    rows = dict(zip(parts, np.split(np.arange(len(table)), ends[:-1])))
    return table, _checked(table, [Task("hold-out", 0, "0", seed=seed, **rows) for seed in seeds])


def sites(table: FeatureTable, *, seeds: Sequence[int], validation: float, division: int = 0) -> list[Task]:
    """Every site is tested once by what was trained on the others. Sites of one class are tested, too.

    Args:
      table: with sites.
      seeds, validation, division: as for `k_fold`.

    Raises:
      InputError: there are no sites, or only one, or the others have too few groups of a class.
    """
    names = np.unique(table.sites) if table.sites is not None else np.array([])
    if len(names) < 2:
        raise InputError(
            f"--plan=sites leaves one site out at a time, and the features have {len(names) or 'no'} site"
            f"{'' if len(names) == 1 else 's'}; name the column of several with --site_column, or take --plan=k-fold"
        )
    tasks = []
    for number, name in enumerate(names):
        test = np.flatnonzero(table.sites == name)
        train, held_out = _validation(
            table, np.flatnonzero(table.sites != name), share=validation, key=[division, number]
        )
        tasks += [Task("sites", 0, str(name), seed=seed, train=train, validation=held_out, test=test) for seed in seeds]
    return _checked(table, tasks)


def few_shot(table: FeatureTable, *, draws: int, groups: int, label: int, test: float, division: int = 0) -> list[Task]:
    """A few groups of one class beside all training groups of the others, drawn again and again; no validation.

    Args:
      table: whose groups are divided, stratified by class.
      draws: of training groups; each is trained once, with its number as the seed.
      groups: how many of the class are trained on.
      label: of that class.
      test: share of the groups that are tested, the same ones in each draw.
      division: seed of the division.

    Raises:
      InputError: the class has fewer training groups than are wanted.
    """
    rest, tested = _validation(table, np.arange(len(table)), share=test, key=[division, 0])
    members = np.unique(table.groups[rest][table.labels[rest] == label])
    if len(members) < groups:
        raise InputError(
            f"--few_shot={groups}: {len(members)} groups of class {table.classes.names[label]} are left to train on; "
            "take fewer, or a smaller --test_fraction"
        )
    tasks = []
    for draw in range(draws):
        chosen = np.random.default_rng([division, draw]).choice(members, groups, replace=False)
        kept = (table.labels[rest] != label) | np.isin(table.groups[rest], chosen)
        tasks.append(Task("few-shot", draw, "0", seed=draw, train=rest[kept], validation=rest[:0], test=tested))
    return _checked(table, tasks)


def groups_by_class(table: FeatureTable) -> list[np.ndarray]:
    """Names of the groups that have samples of each class."""
    return [np.unique(table.groups[table.labels == label]) for label in range(table.classes.count)]


def _validation(table, rows, *, share, key):
    """Divides rows into a larger and a smaller part by groups, about `share` of them in the second."""
    folds = max(2, round(1.0 / share))
    rest, part = next(_stratified(table, rows, folds=folds, key=key))
    if share > 0.5:
        rest, part = part, rest
    return rest, part


def _stratified(table, rows, *, folds, key) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(the rest, a fold) of rows for each of `folds`; InputError where the groups of a class are too few for two."""
    for label, name in enumerate(table.classes.names):
        count = len(np.unique(table.groups[rows][table.labels[rows] == label]))
        if count < 2:
            raise InputError(
                f"class {name} has {count} group{'s' * (count != 1)} of patients where two or more are needed to train "
                "and to test or validate; add patients of it, or take another --plan"
            )
        folds = min(folds, count)
    state = int(np.random.SeedSequence(key).generate_state(1)[0])
    divided = StratifiedGroupKFold(folds, shuffle=True, random_state=state)
    for rest, part in divided.split(np.zeros(len(rows)), table.labels[rows], table.groups[rows]):
        yield rows[rest], rows[part]


def _checked(table, tasks):
    """The tasks; InputError where a class is not trained on or validated with, RuntimeError for a divided group."""
    for task in tasks:
        parts = {"train": task.train, "validation": task.validation, "test": task.test}
        check_disjoint({name: np.unique(table.groups[rows]) for name, rows in parts.items()})
        for name in ("train", "validation"):
            missing = set(range(table.classes.count)) - set(table.labels[parts[name]].tolist())
            if missing and len(parts[name]):
                raise InputError(
                    f"fold {task.fold} has no {name} sample of class {table.classes.names[missing.pop()]}: its groups "
                    "of patients are too few or too unequal; take fewer folds, or another --seed"
                )
    return tasks
