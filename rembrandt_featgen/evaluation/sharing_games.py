"""Trainings of generators by which one judges what sharing their samples loses, and what it gives away.

Two plans of the same table: folds, whose test patients judge a classifier of synthetic samples alone and audit copies;
and games of halves, in which an attacker tells patients who trained a generator from others. In both everything is
learnt from the training patients: preparation, generator, classifier.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from rembrandt_featgen.classification import classifier_kinds
from rembrandt_featgen.classification.ridge import RidgeSettings
from rembrandt_featgen.classification.training_problems import Problem
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import plans
from rembrandt_featgen.evaluation.plans import Task
from rembrandt_featgen.features import vector_preparation
from rembrandt_featgen.features.tables import FeatureTable
from rembrandt_featgen.features.vector_preparation import VectorPreparation
from rembrandt_featgen.generation import sampling_method
from rembrandt_featgen.generation.methods import METHODS
from rembrandt_featgen.generation.training_set import Samples
from rembrandt_featgen.measures import membership_inference, memorisation
from rembrandt_featgen.measures.memorisation import Labelled, Memorisation
from rembrandt_featgen.measures.out_of_fold import OutOfFold

REAL = "real"  # the classifier of real samples alone
ATTACKS = ("closeness", "density_ratio", "aligned_closeness", "likelihood_ratio")
LEAST = 4  # groups of a class: two in each half


@dataclasses.dataclass(frozen=True)
class Sharing:
    """How sharing is judged.

    Attributes:
      folds, repeats: of the cross-validation that judges classifiers.
      games: of members and others; an even number.
      amount: synthetic samples by the number of real ones of each class that trained the generator.
      strength: of the ridge that learns from real, or from synthetic, samples.
      seed: of all.
    """

    folds: int = 5
    repeats: int = 5
    games: int = 20
    amount: float = 1.0
    strength: float = 0.01
    seed: int = 0


@dataclasses.dataclass(frozen=True, eq=False)
class Training:
    """One training of a generator.

    Attributes:
      train, test: rows of the table.
      prepared: what its training rows ask for.
      features: [n, d] of all rows, prepared so.
      seed: of the training.
    """

    train: np.ndarray
    test: np.ndarray
    prepared: VectorPreparation
    features: np.ndarray
    seed: int


def trainings(table: FeatureTable, tasks: Sequence[Task]) -> list[Training]:
    """Divisions of a table, with what each prepares of it."""
    made = []
    for task in tasks:
        prepared = vector_preparation.fit(table.values[task.train])
        features = prepared.apply(table.values)
        made.append(Training(task.train, task.test, prepared, features=features, seed=task.training_seed))
    return made


def folds_of(table: FeatureTable, sharing: Sharing) -> list[Task]:
    """The folds that judge classifiers."""
    return plans.k_fold(
        table,
        folds=sharing.folds,
        repeats=sharing.repeats,
        seeds=[sharing.seed],
        validation=0.0,
        division=sharing.seed,
    )


def games_of(table: FeatureTable, sharing: Sharing) -> list[Task]:
    """Halves of the patients, each of which trains once and is left out once, then other halves.

    Raises:
      InputError: a class has fewer than `LEAST` groups.
    """
    for name, groups in zip(table.classes.names, plans.groups_by_class(table)):
        if len(groups) < LEAST:
            raise InputError(
                f"class {name} has {len(groups)} group{'s' * (len(groups) != 1)} of patients, and judging takes "
                f"{LEAST} or more of each class, as each half of them trains in turn; add patients of it, or leave it "
                "out of --classes"
            )
    return plans.k_fold(
        table,
        folds=2,
        repeats=sharing.games // 2,
        seeds=[sharing.seed],
        validation=0.0,
        division=sharing.seed + 1,
    )


def drawn(name: str, table: FeatureTable, made: Sequence[Training], *, amount: float) -> list[Samples]:
    """Samples of a generator in each training, all of which are trained together.

    Args:
      name: of `METHODS`.
      table: of all rows.
      made: of `trainings`.
      amount: see `Sharing`.
    """
    reals = [
        sampling_method.real_samples(
            one.features[one.train],
            table.labels[one.train],
            table.groups[one.train],
            num_classes=table.classes.count,
            signed=True,
            seed=one.seed,
        )
        for one in made
    ]
    return [
        fitted.draw_all(wanted(real.labels, amount), one.seed + 1)
        for fitted, real, one in zip(METHODS[name].fit_many(reals), reals, made)
    ]


def wanted(labels: np.ndarray, amount: float) -> dict[int, int]:
    """Label to number of synthetic samples, at least one of a class that is there."""
    return {int(label): max(round(amount * n), 1) for label, n in zip(*np.unique(labels, return_counts=True))}


def classified(
    table: FeatureTable, made: Sequence[Training], by_name: Mapping[str, Sequence[Samples]], *, sharing: Sharing
) -> dict[str, OutOfFold]:
    """Out-of-fold predictions per patient of a ridge of real samples, and of synthetic ones alone.

    Args:
      table: of all rows.
      made: of the folds, in their order.
      by_name: generator to its samples in each fold.
      sharing: strength, and number of repeats.
    """
    patients, where = np.unique(table.patients, return_inverse=True)
    samples = {REAL: [Samples(one.features[one.train], table.labels[one.train]) for one in made], **by_name}
    found = {}
    for name, each in samples.items():
        problems = [
            Problem(part.features, part.labels, table.classes.count, seed=one.seed) for part, one in zip(each, made)
        ]
        models = classifier_kinds.train(problems, RidgeSettings(), strength=[sharing.strength] * len(problems))
        probabilities = np.zeros((sharing.repeats, len(patients), table.classes.count))
        folds = np.zeros((sharing.repeats, len(patients)), int)
        for number, (model, one) in enumerate(zip(models, made)):
            repeat, fold = divmod(number, sharing.folds)
            predicted = model.probabilities(one.features[one.test])
            np.add.at(probabilities[repeat], where[one.test], predicted)
            folds[repeat, where[one.test]] = fold
        counts = np.bincount(where)[None, :, None]
        found[name] = OutOfFold(probabilities / counts, folds=folds)
    return found


def audits(
    table: FeatureTable, made: Sequence[Training], each: Sequence[Samples]
) -> list[tuple[Memorisation, dict[int, Memorisation]]]:
    """The memorisation audit of a generator in each fold, of all classes and of each."""
    found = []
    for one, part in zip(made, each):
        trained, held_out = (
            Labelled(one.features[rows], table.labels[rows], table.patients[rows]) for rows in (one.train, one.test)
        )
        found.append(memorisation.audit_of_classes(trained, held_out, Labelled(part.features, part.labels)))
    return found


def released(made: Sequence[Training], each: Sequence[Samples]) -> list[Samples]:
    """Samples of a generator in each training, in the units of the table, as they would be shared."""
    return [Samples(one.prepared.restore(part.features), part.labels) for one, part in zip(made, each)]


def attacked(
    table: FeatureTable, made: Sequence[Training], each: Sequence[Samples]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Scores of each attack on a generator in each game, and who was a member.

    A patient's score is that of the sample which gives most away; the likelihood ratio is of the aligned closeness.
    Half of the patients who are no members are what an attacker knows of others, and have no score of the density
    ratio. Distances are of columns standardised by all patients: where members set the scale, that alone would tell who
    they are.

    Args:
      table: of all rows.
      made: of the games.
      each: of `released`.

    Returns:
      Attack to [games, patients], NaN where a patient has no part; and [games, patients] bool; patients as sorted.
    """
    patients, first, where = np.unique(table.patients, return_index=True, return_inverse=True)
    labels, groups = table.labels[first], table.groups[first]
    space = vector_preparation.fit(table.values)
    features = space.apply(table.values)
    scores = {name: np.full((len(made), len(patients)), -np.inf) for name in ATTACKS[:3]}
    members = np.zeros((len(made), len(patients)), bool)
    for game, (one, part) in enumerate(zip(made, each)):
        members[game, where[one.train]] = True
        known = _reference(members[game], labels, groups, seed=one.seed)
        across = membership_inference.aligned_closeness(
            features, space.apply(part.features), labels=table.labels, synthetic_labels=part.labels
        )
        np.maximum.at(scores["aligned_closeness"][game], where, across)
        for label in np.unique(labels):
            rows = np.flatnonzero(table.labels == label)
            synthetic = space.apply(part.features[part.labels == label])
            of_known = rows[known[where[rows]]]
            close = membership_inference.closeness(features[rows], synthetic)
            np.maximum.at(scores["closeness"][game], where[rows], close)
            tested = rows[~known[where[rows]]]
            if len(of_known):
                ratio = membership_inference.density_ratio(features[tested], synthetic, features[of_known])
                np.maximum.at(scores["density_ratio"][game], where[tested], ratio)
    scores = {name: np.where(np.isfinite(array), array, np.nan) for name, array in scores.items()}
    scores["likelihood_ratio"] = membership_inference.likelihood_ratio(scores["aligned_closeness"], members, labels)
    return scores, members


def _reference(members: np.ndarray, labels: np.ndarray, groups: np.ndarray, *, seed: int) -> np.ndarray:
    """[patients] bool: half of the groups of each class that are no members."""
    random = np.random.default_rng(seed)
    known = np.zeros(len(members), bool)
    for label in np.unique(labels):
        others = np.unique(groups[~members & (labels == label)])
        known |= np.isin(groups, random.permutation(others)[: len(others) // 2])
    return known & ~members
