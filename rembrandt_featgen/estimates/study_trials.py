"""A trial of a study of features: some of its tasks, on the table itself, or on one of its size where it is not there.

Of networks of maps, whose task takes minutes, a trial trains two and four epochs, and the rest is a straight line.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.estimates import extrapolation, trial_runs
from rembrandt_featgen.estimates.extrapolation import Row
from rembrandt_featgen.evaluation import plans
from rembrandt_featgen.evaluation.arms import AUGMENTED
from rembrandt_featgen.evaluation.run_features import Studied
from rembrandt_featgen.features.tables import FeatureTable, table_of_arrays
from rembrandt_featgen.generation.sample_pool import SamplePool

TASKS = 2  # of each study; the first one traces and compiles
_EPOCHS = (1, 2, 4)  # of networks of maps; those of the first trial are there to compile


def row(config, studied: Sequence[Studied], folder: Path, *, study: Callable[..., None]) -> Row:
    """A study of some features, from a trial.

    Args:
      config: of the study, or of the run that it is of.
      studied: its features, with all tasks.
      folder: of the trial.
      study: of `StageCalls`.
    """
    rows = [_of_one(config, one, folder / one.table.kind, study=study) for one in studied]
    return Row(
        "evaluate_features",
        samples="; ".join(one.samples for one in rows),
        seconds=np.sum([one.seconds for one in rows], axis=0),
        memory=max(one.memory for one in rows),
        disk=sum(one.disk for one in rows),
        work=sum(one.work for one in rows),
    )


def _of_one(config, one: Studied, folder: Path, *, study: Callable[..., None]) -> Row:
    if not one.table.is_map:
        return _tried(config, one, folder, study=study)
    tried = [
        _tried(_with_epochs(config, epochs), one, folder / str(epochs), study=study)
        for epochs in _EPOCHS
        if epochs <= config.classifier_epochs
    ]
    if config.classifier_epochs > _EPOCHS[-1]:
        (few, more), (first, last) = tried[1:], _EPOCHS[1:]
        of_epoch = np.maximum(more.seconds - few.seconds, 0.0) / (last - first)
        tried[-1].seconds = more.seconds + of_epoch * (config.classifier_epochs - last)
    return tried[-1]


def _with_epochs(config, epochs: int):
    changes = {"classifier_epochs": epochs}
    return dataclasses.replace(config, **changes)


def _tried(config, one: Studied, folder: Path, *, study: Callable[..., None]) -> Row:
    few = one._replace(tasks=one.tasks[:TASKS])
    share = f"{len(few.tasks)} of {len(one.tasks)} tasks, the first of which also compiles what all use"
    found = trial_runs.measured("evaluate_features", folder, lambda: study(config, [few], str(folder)), share=share)
    tf.keras.backend.clear_session()
    more = len(one.tasks) / len(few.tasks) - 1.0  # as much as is kept of each task until the end is in its predictions
    return Row(
        "evaluate_features",
        samples=f"{len(one.tasks)} tasks of {len(one.table)} {one.table.kind}",
        seconds=extrapolation.seconds(found, {"tasks": len(one.tasks)}),
        memory=found.memory,
        disk=found.disk + round(found.work * more),
        work=round(found.work * (1.0 + more)),
    )


def like_a_run(config, whole: extrapolation.Whole, *, classes: Classes, columns: int, shape=()) -> list[Studied]:
    """Features of random numbers, as many as a run will have.

    Args:
      config: of the run.
      whole: its patients and slices.
      classes: of the run.
      columns: of a vector; 0 for no study of vectors.
      shape: of a map; () for no study of maps.
    """
    generator = np.random.default_rng(0)
    seeds = range(config.trainings)
    make = functools.partial(_table, generator, config, classes=classes)
    found: list[Studied] = []
    for counts, numbers, sizes in ((whole.slices, shape, whole.patients), (whole.patients, (columns,), whole.patients)):
        if not numbers or not numbers[0]:
            continue
        parts = {split: make(split, counts[split], patients=sizes[split], shape=numbers) for split in counts}
        table, tasks = plans.given(parts, seeds)
        found.append(Studied(table, tasks, pools=_pools(config, parts["train"], generator), notes={}))
    return found


def _table(
    generator: np.random.Generator,
    config,
    split: str,
    counts: Mapping[str, int],
    *,
    classes: Classes,
    patients: Mapping[str, int],
    shape: tuple[int, ...],
) -> FeatureTable:
    labels = np.repeat([classes.label(name) for name in counts], list(counts.values()))
    who = [f"{split} {name} {number % max(patients[name], 1)}" for name, n in counts.items() for number in range(n)]
    values = generator.standard_normal((len(labels), *shape), dtype=np.float32) + 0.3 * labels.reshape(
        -1, *[1] * len(shape)
    ).astype(np.float32)
    values = np.maximum(values, 0.0) if len(shape) > 1 else values
    known = {name: generator.integers(20, 80, len(labels)).astype(str) for name in config.covariates}
    covariates: dict[str, Any] = known if len(shape) == 1 else {}
    return table_of_arrays(values, labels, classes=classes, patients=np.array(who), covariates=covariates or None)


def _pools(config, training: FeatureTable, generator: np.random.Generator) -> dict[str, SamplePool]:
    """Of what arms draw from: random samples, as many as there will be."""
    pools: dict[str, SamplePool] = {}
    copies = getattr(config, "vector_augmentations", 0)
    if AUGMENTED in config.arms and (training.is_map or copies):
        order = np.tile(np.arange(len(training)), max(copies, 2))
        pools[AUGMENTED] = SamplePool(training.values[order], training.labels[order], training.groups[order])
    for kind in config.generators if training.is_map else ():
        if kind in config.arms:
            order = generator.integers(0, len(training), config.synthetic_per_class * training.classes.count)
            pools[kind] = SamplePool(training.values[order], training.labels[order])
    return pools
