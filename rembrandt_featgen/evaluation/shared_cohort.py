"""A synthetic cohort to share: samples of a generator that was fitted to all patients, with where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from rembrandt_featgen.core import folders, json_files, provenance, rundir
from rembrandt_featgen.evaluation import sharing_games
from rembrandt_featgen.evaluation.sharing_games import Sharing, Training
from rembrandt_featgen.features import stored_tables, vector_preparation
from rembrandt_featgen.features.tables import FeatureTable, table_of_arrays

NAME = "synthetic"  # begins the names of the files and of patients, and is what the column split says
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


def write(folder: Path, table: FeatureTable, generator: str, *, suffix: str, record: Mapping) -> tuple[str, str]:
    """Writes the cohort and its provenance, named after the generator, and returns the names of both files.

    Each is whole or not there, and no cohort is there without its provenance, which is written first and has the digest
    of the cohort that it is of. That of synthetic_gaussian.csv is synthetic_gaussian.csv.json.

    Args:
      folder: that is there.
      table: of `make`.
      generator: that made it.
      suffix: of `SUFFIXES`.
      record: what the provenance says beside versions and commit.
    """
    path = folder / f"{NAME}_{generator}{suffix}"
    beside = path.with_name(f"{path.name}.json")
    with folders.whole(path) as temporary:
        if suffix == SUFFIXES[0]:
            stored_tables.write_table(temporary, table, np.full(len(table), NAME))
        else:
            keys = {"patient": table.patients, "label": np.array(table.classes.names)[table.labels]}
            columns = pd.DataFrame(table.values, columns=list(table.names))
            pd.concat([pd.DataFrame(keys), columns], axis=1).to_csv(temporary, index=False)
        of_file = {"file": path.name, "sha256": rundir.file_digest(temporary)}
        versions = {"versions": provenance.versions(), "commit": provenance.commit()}
        json_files.write_json(beside, {**of_file, **record, **versions})
    return path.name, beside.name


def written(folder: Path) -> dict[str, str]:
    """Label to path, relative to the folder, of the cohorts that are there, with what says where they come from."""
    names = sorted(path.name for path in folder.glob(f"{NAME}_*") if path.suffix in (*SUFFIXES, ".json"))
    return {name: name for name in names}
