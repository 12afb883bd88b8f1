"""Tables of vectors as Parquet files, a row for each sample, and of maps as .npz files, an array for each column.

`importing.read_table` reads both, and other programs do.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core import paths, system_errors
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.features import table_files
from rembrandt_featgen.features.table_sources import UNET_DICE
from rembrandt_featgen.features.tables import FeatureTable, table_of_arrays

PATIENT, LABEL, GROUP, SITE, SPLIT, SAMPLE = KEYS = ("patient", "label", "group", "site", "split", "sample")


def write_table(path: Path, table: FeatureTable, splits: np.ndarray, unet_dice: float | None = None) -> None:
    """Writes a file, whole or not at all.

    Args:
      path: .parquet.
      table: of vectors; see `run_tables` for maps. Missing values are NaN.
      splits: [n] str, name of each sample's split.
      unet_dice: mean dice of test volumes of the U-Net that computed the features, if there is one.

    Raises:
      ValueError: the features are maps, or have names that rows need for themselves.
    """
    taken = sorted({*KEYS, *table.covariates} & set(table.names))
    if table.is_map or taken:
        raise ValueError(f"a table of vectors is needed, none named {', '.join(taken) or 'as a key'}")
    columns = {name: pa.array(column) for name, column in keys_of(table, splits).items()}
    columns |= {name: pa.array(table.values[:, number]) for number, name in enumerate(table.names)}
    temporary = paths.temporary_beside(path)
    metadata = None if unet_dice is None else {UNET_DICE: str(float(unet_dice))}
    pq.write_table(pa.table(columns, metadata=metadata), temporary)
    temporary.replace(path)


def write_maps(path: Path, table: FeatureTable, splits: np.ndarray, unet_dice: float | None = None) -> None:
    """Writes a file of maps, whole or not at all.

    Args:
      path: .npz.
      table: of maps.
      splits: [n] str, name of each sample's split.
      unet_dice: as for `write_table`.
    """
    temporary = paths.temporary_beside(path)
    more = {} if unet_dice is None else {UNET_DICE: np.float64(unet_dice)}
    with temporary.open("wb") as file:
        np.savez_compressed(file, features=table.values, names=np.array(table.names), **keys_of(table, splits), **more)
    temporary.replace(path)


def unet_dice(path: Path) -> float | None:
    """What a file of `write_table` or `write_maps` says of the U-Net's dice; None where it says nothing.

    Args:
      path: of a table that was read before: what is damaged in it says nothing here.
    """
    try:
        if path.suffix.lower() == ".parquet":
            found = (pq.read_schema(path).metadata or {}).get(UNET_DICE.encode())
        elif path.suffix.lower() == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                found = arrays.get(UNET_DICE)
        else:
            found = None
        value = None if found is None else float(found)
    except (OSError, ValueError, TypeError, pa.ArrowException) as error:
        system_errors.raise_of_drive(error)
        return None
    return value if value is not None and 0 <= value <= 1 else None


def load_table(path: Path, classes: Classes) -> FeatureTable:
    """The table of a file of `write_table`, without covariates; no column is left out, however little it says.

    Args:
      path: of the file.
      classes: of the run.

    Raises:
      InputError: the file is missing or damaged.
    """
    try:
        read = table_files.read_parquet(path)
        texts = {name: np.array(read[name].to_pylist(), str) for name in (PATIENT, LABEL, GROUP)}
        names = [field.name for field in read.schema if field.type == pa.float32()]
        return table_of_arrays(
            np.stack([read[name].to_numpy() for name in names], 1),
            np.array([classes.label(name) for name in texts[LABEL]], np.int64),
            classes=classes,
            patients=texts[PATIENT],
            groups=texts[GROUP],
            sites=np.array(read[SITE].to_pylist(), str) if SITE in read.column_names else None,
            samples=read[SAMPLE].to_numpy(),
            names=names,
        )
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        system_errors.raise_of_drive(error)
        raise InputError(
            f"{path} is missing or damaged; delete {path.parent} so that its stage is done again"
        ) from error


def keys_of(table: FeatureTable, splits: np.ndarray) -> dict[str, np.ndarray]:
    """Whose each row is, and the clinical columns."""
    keys = {
        PATIENT: table.patients,
        LABEL: np.array(table.classes.names)[table.labels],
        GROUP: table.groups,
        SITE: table.sites,
        SPLIT: splits,
        SAMPLE: table.samples,
        **table.covariates,
    }
    return {name: column for name, column in keys.items() if column is not None}
