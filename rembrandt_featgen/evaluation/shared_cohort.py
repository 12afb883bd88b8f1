"""A synthetic cohort to share: samples of a generator that was fitted to all patients, with where they come from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from rembrandt_featgen.core import folders, json_files, provenance, rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import seen_patients, sharing_games
from rembrandt_featgen.evaluation.sharing_games import Sharing, Training
from rembrandt_featgen.features import stored_tables, synthetic_files, vector_preparation
from rembrandt_featgen.features.synthetic_files import NAME
from rembrandt_featgen.features.table_files import listed
from rembrandt_featgen.features.tables import FeatureTable, table_of_arrays

SUFFIXES = (".parquet", ".csv")


def make(table: FeatureTable, generator: str, sharing: Sharing) -> FeatureTable:
    """Draws synthetic patients of one sample each, in the units of the table and with its columns.

    Args:
      table: of vectors; all of it trains the generator. Missing values are imputed, so that none is missing here.
      generator: of `generation.METHODS`.
      sharing: its amount and seed.
    """
    rows = np.arange(len(table))
    prepared = vector_preparation.fit(table.values)
    training = Training(rows, rows[:0], prepared, features=prepared.apply(table.values), seed=sharing.seed)
    drawn = sharing_games.drawn(generator, table, [training], amount=sharing.amount)
    [samples] = sharing_games.released([training], drawn)
    values = samples.features if table.signed else np.maximum(samples.features, 0)
    return table_of_arrays(
        values,
        samples.labels,
        classes=table.classes,
        patients=np.array([f"{NAME}_{number:05d}" for number in range(len(values))]),
        names=table.names,
        signed=table.signed,
    )


def write(
    folder: Path, table: FeatureTable, generator: str, *, real: FeatureTable, suffix: str, record: Mapping
) -> tuple[str, str]:
    """Writes the cohort and its provenance, named after the generator, and returns the names of both files.

    A third file, synthetic_gaussian.csv.seen.json, has digests of the patients who trained the generator, by which a
    study refuses to test them. It is not to be shared: whoever has an id or a row can ask it whether it was among them.

    Each is whole or not there, and no cohort is there without its provenance, which is written first and has the digest
    of the cohort that it is of. That of synthetic_gaussian.csv is synthetic_gaussian.csv.json.

    Args:
      folder: that is there.
      table: of `make`.
      generator: that made it.
      real: the table that trained it.
      suffix: of `SUFFIXES`.
      record: what the provenance says beside versions and commit.
    """
    path = folder / f"{NAME}_{generator}{suffix}"
    beside = synthetic_files.beside(path)
    with folders.whole(path) as temporary:
        if suffix == SUFFIXES[0]:
            stored_tables.write_table(temporary, table, np.full(len(table), NAME))
        else:
            keys = stored_tables.keys_of(table, np.full(len(table), NAME))
            columns = pd.DataFrame(table.values, columns=list(table.names))
            pd.concat([pd.DataFrame(keys), columns], axis=1).to_csv(temporary, index=False)
        of_file = {"file": path.name, "sha256": rundir.file_digest(temporary)}
        versions = {"versions": provenance.versions(), "commit": provenance.commit()}
        json_files.write_json(beside, {**of_file, **record, **versions})
        seen = {**seen_patients.record(real), "names": list(real.names)}
        json_files.write_json(synthetic_files.seen_beside(path), {**of_file, **seen})
    return path.name, beside.name


def written(folder: Path) -> dict[str, str]:
    """Label to path, relative to the folder, of the cohorts that are there, with what says where they come from."""
    names = sorted(path.name for path in folder.glob(f"{NAME}_*") if path.suffix in (*SUFFIXES, ".json"))
    return {name: name for name in names if not name.endswith(".seen.json")}


def check_unseen(path: Path, held: FeatureTable, flag: str = "--synthetic") -> str:
    """Looks whether those who choose or test made the samples that are added to the training patients.

    Args:
      path: of the samples.
      held: of the patients who validate and test.
      flag: for messages.

    Returns:
      A warning where nothing beside the file tells; "" where none of them is among those who made it.

    Raises:
      InputError: one of them is.
    """
    found = synthetic_files.provenance(path)
    beside = synthetic_files.seen_beside(found[0] if found else path)
    if not beside.is_file():
        return (
            f"{flag}={path} says nothing of the patients who made it, as {beside.name} is not beside it: it holds "
            "nothing against the figures only if none of those who validate or test was among them"
        )
    fix = f"copy it again from where {path.name} was made, or take it away"
    seen = json_files.read_json(beside, fix=fix)
    if not isinstance(seen, dict) or not {"names", "patients", "groups", "values"} <= set(seen):
        raise InputError(f"{beside} is damaged; {fix}")
    if set(seen["names"]) <= set(held.names):
        order = [held.names.index(name) for name in seen["names"]]
        held = dataclasses.replace(held, values=held.values[:, order], names=tuple(seen["names"]))
    same = seen_patients.among(held, seen)
    if same:
        raise InputError(
            f"{flag}={path}: {len(same)} of the patients who validate or test made it: {listed(same)}; make it with "
            "share_synthetic of the training patients alone, or test others"
        )
    return ""
