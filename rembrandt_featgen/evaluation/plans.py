"""Plans: which samples of a table train, validate and test, how often, with which seeds. No plan divides a group."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rembrandt_featgen.cohort.groups import by_class, deal
from rembrandt_featgen.cohort.sites import check_groups
from rembrandt_featgen.cohort.splits import check_disjoint
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.features.tables import FeatureTable, joined

PLANS = ("k-fold", "hold-out", "sites", "few-shot", "fresh")  # those of few_shots; and of assign_folds, of phantoms


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
    """One division of the samples, and one seed; independent of all other tasks of its plan.

    Attributes:
      plan: one of `PLANS`, or "final" of all patients.
      draw: how often patients have been divided before, or training patients drawn.
      number: of the fold.
      fold: what predictions call it: its number, or the name of the site that is tested.
      seed: of everything that is trained, beside the draw, the number of the fold and `division`.
      train, validation, test: numbers of rows of the table. A few-shot task has no validation rows.
      reserve: rows that are trained on by an arm that shows what more real samples would do, and else unused.
      division: what tells a division that was made elsewhere from others: draw and number are 0 in each of them.
    """

    plan: str
    draw: int
    number: int
    fold: str
    seed: int
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    reserve: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.int64))
    division: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """Unique in its plan."""
        return f"draw{self.draw}-fold{self.number}-seed{self.seed}"

    @property
    def training_seed(self) -> int:
        """Of what is trained: another one in each task, so that folds do not share initial weights and draws."""
        key = [self.seed, self.draw, self.number, *self.division]
        return int(np.random.SeedSequence(key).generate_state(1)[0] >> 1)

    @property
    def of_division(self) -> Task:
        """The task that all seeds of a division share."""
        return dataclasses.replace(self, seed=0)


def k_fold(
    table: FeatureTable, *, folds: int, repeats: int, seeds: Sequence[int], validation: float, division: int = 0
) -> list[Task]:
    """Every group is tested once in each repeat and seed.

    Args:
      table: whose groups are divided, stratified by class.
      folds: 2 or more.
      repeats: how often groups are divided anew.
      seeds: of the trainings of each fold.
      validation: share of the groups that are not tested, in (0, 1); 0 for none.
      division: seed of the division.

    Raises:
      InputError: a class has fewer groups than folds, or too few for each of the three parts.
    """
    why = too_few(table, folds, validation)
    if why:
        raise InputError(f"--cv_folds={folds}: {why}")
    tasks = []
    for repeat in range(repeats):
        fold_of = _folds(table, folds, key=[division, repeat])
        for fold in range(folds):
            rest, test = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
            train, held_out = rest, rest[:0]
            if validation:
                train, held_out = _part(table, rest, share=validation, key=[division, repeat, fold + 1])
            parts: dict[str, Any] = {"train": train, "validation": held_out, "test": test}
            tasks += [Task("k-fold", repeat, fold, fold=str(fold), seed=seed, **parts) for seed in seeds]
    return checked(table, tasks)


def too_few(table: FeatureTable, folds: int, validation: float) -> str:
    """Why a class has too few groups for `k_fold`, and what to do about it; "" where each has enough."""
    counts = [len(groups) for groups in groups_by_class(table)]
    least = min(counts)
    rest = 2 if validation else 1  # who train and validate, where as many are tested as in any fold
    enough = [number for number in range(2, least + 1) if least - math.ceil(least / number) >= rest]
    if folds in enough:
        return ""
    name = table.classes.names[counts.index(least)]
    fix = f"add patients of it, {rest + 1} are needed at least"
    if enough:
        fix = f"take {enough[0]}" + f" to {enough[-1]}" * (len(enough) > 1)
    return (
        f"class {name} has {least} group{'s' * (least != 1)} of patients, and each fold tests one or more and learns "
        f"from {'two or more' if validation else 'others'}; {fix}"
    )


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
    rest, tested = _part(table, np.arange(len(table)), share=test, key=[division, 0])
    train, held_out = _part(table, rest, share=validation, key=[division, 0, 1])
    parts: dict[str, Any] = {"train": train, "validation": held_out, "test": tested}
    return checked(table, [Task("hold-out", 0, 0, fold="0", seed=seed, **parts) for seed in seeds])


def given(
    parts: Mapping[str, FeatureTable], seeds: Sequence[int], source: str = "the division"
) -> tuple[FeatureTable, list[Task]]:
    """One division that was made before, such as the split of a run or of a fold of a study, trained with each seed.

    Which patients are trained on is part of the training seed, so that the folds and repeats of a study, of which each
    comes here alone, do not share initial weights and draws.

    Args:
      parts: tables of "train", "validation" and "test"; that of "validation" may be empty.
      seeds: of the trainings.
      source: of the division, for messages.

    Returns:
      One table of all samples, and the tasks.

    Raises:
      InputError: a group is in two parts; nobody is tested; or there is a class that nobody is trained on or, where
        anybody is validated with, validated with.
    """
    _check_given(parts, source)
    table = joined(list(parts.values()))
    ends = np.cumsum([len(part) for part in parts.values()])
    rows = dict(zip(parts, np.split(np.arange(len(table)), ends[:-1])))
    division = _digest(parts["train"].patients)
    tasks = [Task("hold-out", 0, 0, fold="0", seed=seed, **rows, division=division) for seed in seeds]
    return table, checked(table, tasks)


def sites(table: FeatureTable, *, seeds: Sequence[int], validation: float, division: int = 0) -> list[Task]:
    """Every site is tested once by what was trained on the others. Sites of one class are tested, too.

    Args:
      table: with sites.
      seeds, validation, division: as for `k_fold`.

    Raises:
      InputError: there are no sites, or only one, or the others have too few groups of a class.
    """
    of_sample = np.array([], str) if table.sites is None else table.sites
    names = np.unique(of_sample)
    if len(names) < 2:
        raise InputError(
            f"--plan=sites leaves one site out at a time, and the features have {len(names) or 'no'} site"
            f"{'' if len(names) == 1 else 's'}; name the column of several with --site_column, or take --plan=k-fold"
        )
    blank = np.flatnonzero(of_sample == "")
    if len(blank):
        raise InputError(
            f"--plan=sites: {len(blank)} samples have no site, such as those of {table.patients[blank[0]]}; "
            "fill it in, or leave them out"
        )
    check_groups(table.groups.tolist(), of_sample.tolist(), "--plan=sites")
    tasks = []
    for number, name in enumerate(names):
        rest, test = np.flatnonzero(of_sample != name), np.flatnonzero(of_sample == name)
        train, held_out = _part(table, rest, share=validation, key=[division, number])
        parts: dict[str, Any] = {"train": train, "validation": held_out, "test": test}
        tasks += [Task("sites", 0, number, fold=str(name), seed=seed, **parts) for seed in seeds]
    return checked(table, tasks)


def groups_by_class(table: FeatureTable, rows: np.ndarray | None = None) -> list[np.ndarray]:
    """Names of the groups of each class; see `cohort.groups.by_class`.

    Args:
      table: of the groups.
      rows: that count; None for all.
    """
    rows = np.arange(len(table)) if rows is None else rows
    return by_class(table.groups[rows], table.labels[rows], table.classes.count)


def _digest(patients) -> tuple[int, ...]:
    """32-bit words of a digest of some patients; of the order and the number of their samples it says nothing."""
    found = hashlib.sha256("\n".join(sorted(set(patients.tolist()))).encode()).digest()
    return tuple(np.frombuffer(found, "<u4").tolist())


def _folds(table, folds, *, key) -> np.ndarray:
    """[n] fold of each sample: groups of each class in turn, so that folds differ by one group of a class at most."""
    fold_of = deal(groups_by_class(table), folds, key)
    return np.array([fold_of[group] for group in table.groups])


def _part(table, rows, *, share, key) -> tuple[np.ndarray, np.ndarray]:
    """Divides rows in two by groups: `share` of those of each class, and one at least, in the second part."""
    chosen: list[str] = []
    for label, groups in enumerate(groups_by_class(table, rows)):
        if len(groups) < 2:
            raise InputError(
                f"class {table.classes.names[label]} has {len(groups)} group{'s' * (len(groups) != 1)} of patients "
                "where two or more are needed, one to train and one to test or validate; add patients of it, or take "
                "another --plan"
            )
        count = min(max(1, round(share * len(groups))), len(groups) - 1)
        chosen += np.random.default_rng([*key, label]).permutation(groups)[:count].tolist()
    inside = np.isin(table.groups[rows], chosen)
    return rows[~inside], rows[inside]


def _check_given(parts: Mapping[str, FeatureTable], source: str) -> None:
    """InputError as `given` says."""
    for one, other in itertools.combinations(parts, 2):
        both = np.intersect1d(parts[one].groups, parts[other].groups)
        if len(both):
            raise InputError(
                f"{source}: group {both[0]} of patients is both in {one} and in {other}, and no split may divide it; "
                "put all of it into one of the two"
            )
    if not len(parts["test"]):
        raise InputError(f"{source}: there is no test sample; say who is tested")
    for name in ("train", "validation"):
        part = parts[name]
        missing = set(range(part.classes.count)) - set(part.labels.tolist())
        if missing and (len(part) or name == "train"):
            raise InputError(
                f"{source}: there is no {name} sample of class {part.classes.names[min(missing)]}; put some of its "
                "patients there"
            )


def checked(table: FeatureTable, tasks: list[Task]) -> list[Task]:
    """The tasks; InputError where a class is not trained on or validated with, RuntimeError for a divided group."""
    for task in tasks:
        parts: dict[str, Any] = {
            "train": task.train,
            "validation": task.validation,
            "test": task.test,
            "reserve": task.reserve,
        }
        check_disjoint({name: np.unique(table.groups[rows]) for name, rows in parts.items()}, "group")
        for name in ("train", "validation"):
            missing = set(range(table.classes.count)) - set(table.labels[parts[name]].tolist())
            if missing and len(parts[name]):
                raise InputError(
                    f"fold {task.fold} has no {name} sample of class {table.classes.names[missing.pop()]}: its groups "
                    "of patients are too few or too unequal; take fewer folds, or another --seed"
                )
    return tasks
