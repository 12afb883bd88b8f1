"""Features of a run as a study takes them: maps of slices, vectors of patients, and what arms draw from."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from rembrandt_featgen.classification import classifier_kinds
from rembrandt_featgen.classification.classifier_kinds import CLASSIFIER_KINDS
from rembrandt_featgen.cohort import splits
from rembrandt_featgen.core import rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import arms, competitors, generator_measures, plans, pools
from rembrandt_featgen.evaluation.arms import ARMS, AUGMENTED, ORACLE, SYNTHETIC, USUAL
from rembrandt_featgen.features import augmented_vectors, encoders, run_tables
from rembrandt_featgen.features.tables import FeatureTable
from rembrandt_featgen.generation import training_set
from rembrandt_featgen.generation.gan_kinds import KINDS
from rembrandt_featgen.generation.sample_pool import SamplePool
from rembrandt_featgen.nn import inference

# What generate_synthetic said of its features: name among the measures of an arm, and among its figures.
_SAID = {"class_accuracy_own": "class_accuracy", "acceptance": "acceptance"}
# The same of the judge, where one accepted them: name among the measures, and among what it reached on test patients.
_SAID_OF_JUDGE = {"judge_accuracy_real": "accuracy", "judge_log_loss_real": "log_loss", "judge_recall_real": "recall"}
_STAGES = {True: "extract_features", False: "extract_vectors"}  # of maps, and of vectors


class Studied(NamedTuple):
    """Features that are studied.

    Attributes:
      table: maps, or vectors.
      tasks: of the plan.
      pools: samples that were made before, by arm.
      notes: what stage.json says of the pools, by arm.
      warnings: lines of what the study is to warn of.
    """

    table: FeatureTable
    tasks: list[plans.Task]
    pools: dict[str, SamplePool]
    notes: dict[str, dict]
    warnings: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What a study asks of a run.

    Attributes:
      run_dir: of a run, or of a fold of a study; its split is the plan.
      arms: names of `ARMS`; the usual ones stand for those of them that have what they need.
      classifiers: names, see `classifier_kinds.kind_of`.
      amounts: of extra samples.
      covariates: clinical columns, for vectors.
      seeds: of the trainings.
      augmentation: a key of `data.pipelines.AUGMENTATIONS`.
      precision: in which networks compute features.
    """

    run_dir: str
    arms: tuple[str, ...]
    classifiers: tuple[str, ...]
    amounts: tuple[float, ...]
    covariates: tuple[str, ...]
    seeds: tuple[int, ...]
    augmentation: str
    precision: str


def of_maps(classifiers: Collection[str], maps: bool) -> tuple[str, ...]:
    """Those of some classifiers that are of maps, or of vectors, in the order of the table."""
    bases = {name: classifier_kinds.base_of(name) for name in classifiers}
    return tuple(
        name
        for known, kind in CLASSIFIER_KINDS.items()
        for name, base in bases.items()
        if kind.of_maps == maps and base == known
    )


def check_arms(named: Collection[str], there: Mapping[str, Collection[str]], *, of_file: bool = False) -> None:
    """InputError for arms that were named while there is nothing for them to learn from, or to be compared with.

    Args:
      named: arms; nothing is missing where these are the usual ones.
      there: of "maps" or "vectors", or of both, the arms for which there is something.
      of_file: whether features were made elsewhere; else they are a run's.
    """
    missing: dict[str, list[str]] = {}
    for name in named:
        if not any(name in arms_of_kind for arms_of_kind in there.values()):
            missing.setdefault(_what_it_needs(name, of_file), []).append(name)
    if missing and set(named) != set(USUAL):
        lines = [
            f"{', '.join(names)} {'has' if len(names) == 1 else 'have'} nothing to learn from; {needed}, or leave "
            f"{'it' if len(names) == 1 else 'them'} out"
            for needed, names in missing.items()
        ]
        raise InputError(f"--arms: {'; '.join(lines)}")
    for kind, arms_of_kind in there.items():
        try:
            competitors.check_arms(arms_of_kind)
        except ValueError as error:
            raise InputError(f"--arms={','.join(named)}: of {kind}, {error}") from error


def fed_arms(config, generators: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Of the maps and of the vectors that --classifiers ask for, the arms for which there will be something.

    Args:
      config: of a run or a study, before anything is trained.
      generators: kinds that will be trained.
    """
    there: dict[str, tuple[str, ...]] = {}
    if of_maps(config.classifiers, True):
        there["maps"] = arms.available(config.arms, covariates=False, pools=(*generators, AUGMENTED))
    if of_maps(config.classifiers, False):
        augmented = (AUGMENTED,) if config.vector_augmentations else ()
        there["vectors"] = arms.available(config.arms, covariates=bool(config.covariates), pools=augmented)
    return there


def _what_it_needs(arm: str, of_file: bool) -> str:
    """What a user can do for an arm that has nothing to learn from."""
    if ARMS[arm].inputs != "features":
        return "give --covariates, with classifiers of vectors"
    if arm == ORACLE:
        return "see stages.fewshot"
    if of_file:
        return "give --synthetic" if arm == SYNTHETIC else "study the features of a run, without --features"
    if arm == SYNTHETIC:
        return "run evaluate_features with --features and --synthetic"
    if arm == AUGMENTED:
        return "give --vector_augmentations for vectors, or classifiers of maps"
    return f"add {arm} to --generators, with {' or '.join(of_maps(CLASSIFIER_KINDS, True))} among --classifiers"


def inputs(wanted: Wanted) -> list[rundir.Found]:
    """The stages of a run that made features for the classifiers, and what their arms draw from.

    Raises:
      InputError: there are no features for any of the classifiers, or a generator that was named made none.
    """
    found = [rundir.find(wanted.run_dir, _STAGES[maps]) for maps in (True, False) if _is_there(wanted, maps)]
    if not found:
        raise InputError(
            f"--features is empty, and there are no features for --classifiers={','.join(wanted.classifiers)} in "
            f"--run_dir={wanted.run_dir}: give a .csv, .parquet or .npz file, or run extract_vectors (for ridge, mlp, "
            "neighbours) or extract_features (for cnn, linear) on a finished run first"
        )
    if _is_there(wanted, maps=True):
        found += [rundir.find(wanted.run_dir, "generate_synthetic", kind) for kind in _generators(wanted)]
        if AUGMENTED in wanted.arms:
            found += [rundir.find(wanted.run_dir, name) for name in ("prepare_slices", "train_unet")]
    return found


def studied(wanted: Wanted) -> list[Studied]:
    """Features of a run, whose split is the plan.

    Raises:
      InputError: as `inputs` and `check_arms`.
    """
    found: list[Studied] = []
    there: dict[str, tuple[str, ...]] = {}
    for maps in (True, False):
        if not _is_there(wanted, maps):
            continue
        covariates = () if maps else wanted.covariates
        parts = {
            split: run_tables.table_of_run(wanted.run_dir, _STAGES[maps], split, covariates=covariates)
            for split in splits.SPLITS
        }
        table, tasks = plans.given(parts, wanted.seeds, f"--run_dir={wanted.run_dir}")
        drawn, notes = pools_of_run(wanted, parts["train"])
        found.append(Studied(table, tasks, pools=drawn, notes=notes))
        there[table.kind] = arms.available(wanted.arms, covariates=bool(covariates), pools=drawn)
    check_arms(wanted.arms, there)
    return found


def _is_there(wanted: Wanted, maps: bool) -> bool:
    return bool(of_maps(wanted.classifiers, maps)) and rundir.is_done(wanted.run_dir, _STAGES[maps])


def _generators(wanted: Wanted) -> list[str]:
    """Kinds of generators that an arm draws from and whose features are there; InputError where one named has none."""
    named = [name for name in KINDS if name in wanted.arms]
    there = [name for name in named if rundir.is_done(wanted.run_dir, "generate_synthetic", name)]
    missing = [name for name in named if name not in there]
    if missing and set(wanted.arms) != set(USUAL):
        raise InputError(
            f"--arms={','.join(wanted.arms)}: there are no features by {', '.join(missing)}; add it to --generators, "
            "and run train_generators and generate_synthetic, or leave it out of --arms"
        )
    return there


def pools_of_run(wanted: Wanted, training: FeatureTable) -> tuple[dict[str, SamplePool], dict[str, dict]]:
    """What arms draw from, and what the generators among it said of their samples.

    Args:
      wanted: of which run.
      training: maps or vectors of its training patients.
    """
    if not training.is_map:
        return _pools_of_vectors(wanted), {}
    generated = {kind: rundir.find(wanted.run_dir, "generate_synthetic", kind) for kind in _generators(wanted)}
    drawn = {kind: pools.of_generator(found.folder, training.shape) for kind, found in generated.items()}
    notes = {kind: _said(found.record["figures"]) for kind, found in generated.items()}
    notes = {kind: said for kind, said in notes.items() if said}
    if AUGMENTED in wanted.arms:
        most = max(*wanted.amounts, generator_measures.AMOUNT)
        drawn[AUGMENTED] = pools.of_augmented_slices(
            rundir.find(wanted.run_dir, "prepare_slices").folder,
            inference.runner(encoders.encoder_of_run(Path(wanted.run_dir), wanted.precision)),
            augmentation=wanted.augmentation,
            wanted=training_set.counts(training.labels, most, training.classes.count),
            group_of=dict(zip(training.patients.tolist(), training.groups.tolist())),
            seed=wanted.seeds[0],
        )
    return drawn, notes


def _said(figures: Mapping) -> dict:
    """Notes on the features of a generator; none where all were kept, as of a cgan, which classifies nothing."""
    said = {name: figures[figure] for name, figure in _SAID.items()}
    tested = (figures.get("judge") or {}).get("test") or {}
    said |= {name: tested.get(measure) for name, measure in _SAID_OF_JUDGE.items()}
    return {name: value for name, value in said.items() if value is not None}


def _pools_of_vectors(wanted: Wanted) -> dict[str, SamplePool]:
    """Vectors of augmented volumes, where extract_vectors made some."""
    file = rundir.find(wanted.run_dir, "extract_vectors").folder / f"{augmented_vectors.SPLIT}.parquet"
    if AUGMENTED not in wanted.arms or not file.exists():
        return {}
    table = run_tables.table_of_run(wanted.run_dir, "extract_vectors", augmented_vectors.SPLIT)
    return {AUGMENTED: SamplePool(table.values, table.labels, table.groups)}
