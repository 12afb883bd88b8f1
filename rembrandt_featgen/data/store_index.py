"""The index of a split's records: of its own shards, or of records that lie in another store.

The second names that store, by a path from its own folder, and the patients whose records are meant; it can have arrays
normalised as they are read: `shift` is taken off, and the rest divided by `scale`. So splits share one copy.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rembrandt_featgen.core import json_files, paths, system_errors
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data.store_format import CODECS, FRAME, fits, index_path

_DAMAGES = (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError)
_MOST_STORES = 20  # one referring to the next


class Normalisation(NamedTuple):
    """What is taken off an array as it is read, and what it is divided by then: a number for each of the last axis."""

    shift: Sequence[float]
    scale: Sequence[float]


@dataclasses.dataclass(frozen=True, eq=False)
class Index:
    """Who the records of a split are, and where.

    Attributes:
      folder: whose stage has to be done again where a shard is damaged.
      tensors: name to (shape, dtype on disk) of the arrays in each record.
      codec: a name in `store_format.CODECS`.
      patients, slices, labels: of each record, see `store.Store`.
      files, sizes: of the shards; bytes.
      places: [n] int64, where each record begins, the files thought end to end.
      normalise: of arrays by name; the others are read as they are.
    """

    folder: Path
    tensors: dict[str, tuple[tuple[int, ...], str]]
    codec: str
    patients: list[str]
    slices: list[int]
    labels: np.ndarray
    files: list[str]
    sizes: list[int]
    places: np.ndarray
    normalise: Mapping[str, Normalisation] = dataclasses.field(default_factory=dict)


def read_index(folder: Path, split: str) -> Index:
    """Reads the index of a split.

    Raises:
      InputError: an index or a shard is missing, damaged or of another size than written.
    """
    return _read(folder, split, left=_MOST_STORES)


def _read(folder: Path, split: str, *, left: int) -> Index:
    path = index_path(folder, split)
    try:
        lines = [json_files.parse(line) for line in path.read_text(encoding="utf-8").splitlines()]
        if not left:
            raise ValueError("stores that refer to each other")
        found = _of_another_store(folder, lines, left=left) if "store" in lines[0] else _of_shards(folder, lines)
        if lines[-1] != {"records": len(found.labels)}:
            raise ValueError("the end is missing")
    except InputError:  # of the other store
        raise
    except (*_DAMAGES, IndexError) as error:
        system_errors.raise_of_drive(error)
        raise InputError(f"{path} is missing or damaged; delete {folder} so that its stage is done again") from error
    for file, size in zip(found.files, found.sizes):
        if not fits(Path(file), size):
            there = Path(file).stat().st_size if paths.is_file(Path(file)) else 0
            raise InputError(
                f"{file} has {there} bytes, not {size}; delete {found.folder} so that its stage is done again"
            )
    return found


def write_reference(
    folder: Path,
    split: str,
    *,
    store: tuple[Path, str],
    patients: Sequence[str],
    normalise: Mapping[str, Normalisation] | None = None,
) -> None:
    """Writes the index of a split whose records lie in another store.

    Args:
      folder: an existing folder, where the index is written. It and the store's folder may be moved together.
      split: its name.
      store: folder and name of the other store.
      patients: whose records are meant, in the order in which they are to come; all of each.
      normalise: what is done to float32 arrays as they are read.

    Raises:
      InputError: as `read_index` of the other store.
      KeyError: a patient is not in it.
    """
    header = {
        "store": os.path.relpath(Path(store[0]).resolve(), Path(folder).resolve()),
        "name": store[1],
        "normalise": {name: values._asdict() for name, values in (normalise or {}).items()},
    }
    count = len(_rows(read_index(*store), patients))
    path = index_path(folder, split)
    part = path.with_name(f"{path.name}.part")
    lines = [header, {"patients": list(patients)}, {"records": count}]
    part.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    part.replace(path)


def _of_shards(folder: Path, lines: list[dict]) -> Index:
    header, *shards, _ = lines
    if header["codec"] not in CODECS:
        raise ValueError(f"no codec {header['codec']!r}")
    for shard in shards:
        if len({len(shard[name]) for name in ("patients", "slices", "labels", "lengths")}) > 1:
            raise ValueError(f"{shard['file']} has columns of several lengths")
    names = [sys.intern(patient) for shard in shards for patient in shard["patients"]]
    positions, labels, lengths = (
        [value for shard in shards for value in shard[key]] for key in ("slices", "labels", "lengths")
    )
    framed = np.array(lengths, np.int64) + FRAME
    return Index(
        folder=folder,
        tensors={name: (tuple(shape), dtype) for name, (shape, dtype) in header["tensors"].items()},
        codec=header["codec"],
        patients=names,
        slices=positions,
        labels=np.array(labels, np.int8),
        files=[str(folder / shard["file"]) for shard in shards],
        sizes=[shard["bytes"] for shard in shards],
        places=np.cumsum(framed) - framed,
    )


def _of_another_store(folder: Path, lines: list[dict], *, left: int) -> Index:
    header, chosen, _ = lines
    # Links of `folder` first, and ".." after that: TensorFlow would take ".." off the text.
    home = folder if header["store"] == "." else (folder.resolve() / header["store"]).resolve()
    index = _read(home, header["name"], left=left - 1)
    rows = _rows(index, chosen["patients"])
    return dataclasses.replace(
        index,
        patients=[index.patients[row] for row in rows],
        slices=[index.slices[row] for row in rows],
        labels=index.labels[rows],
        places=index.places[rows],
        normalise={name: Normalisation(**values) for name, values in header["normalise"].items()},
    )


def _rows(index: Index, patients: Sequence[str]) -> np.ndarray:
    """Numbers of the records of those patients, [n] int64, in the patients' order."""
    rows: dict[str, list[int]] = {}
    for row, patient in enumerate(index.patients):
        rows.setdefault(patient, []).append(row)
    return np.array([row for patient in patients for row in rows[patient]], np.int64)
