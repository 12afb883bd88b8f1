"""The manifest of an import of DICOM: its rows, and what its user has filled in since an earlier import."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from absl import logging

from rembrandt_featgen.cohort import csv_rows, manifest
from rembrandt_featgen.cohort.dicom_import import JOURNAL, Visit
from rembrandt_featgen.cohort.patients import MASK
from rembrandt_featgen.core import folders
from rembrandt_featgen.core.errors import InputError

_CLASS = (manifest.LABEL, manifest.GRADE)  # of a manifest's columns, of which there is one


def rows_of(
    visits: Sequence[Visit],
    modalities: Sequence[str],
    *,
    images: Mapping[tuple[str, str], Path],
    masks: Mapping[str, Path],
    labels: Mapping[str, str],
    column: str = manifest.LABEL,
) -> Iterator[dict[str, str]]:
    """Rows of the manifest: visits that have all modalities; label and mask are blank where they are not known.

    Args:
      visits: all.
      modalities: columns of images.
      images: of `dicom_import.write_volumes`.
      masks: of `dicom_import.write_masks`.
      labels: visit to class.
      column: name of the column of the class.
    """
    for visit in visits:
        if all(modality in visit.series for modality in modalities):
            mask = masks.get(visit.id)
            yield {
                manifest.PATIENT: visit.id,
                column: labels.get(visit.id, ""),
                MASK: f"{visit.id}/{mask.name}" if mask else "",
                **{name: f"{visit.id}/{images[visit.id, name].name}" for name in modalities},
                manifest.GROUP: visit.group,
            }


def check_is_of_import(path: Path) -> None:
    """InputError where there is a manifest that no import made, which would be lost."""
    if path.is_file() and not (path.parent / JOURNAL).is_file():
        raise InputError(f"--out={path.parent}: its {path.name} was not made by import_dicom; name another folder")


def with_what_was_filled_in(
    path: Path, rows: Sequence[Mapping[str, str]], changed: Collection[str] = ()
) -> list[dict[str, str]]:
    """The rows with the cells of a manifest of an earlier import where they are blank, and with its further columns.

    Args:
      path: of that manifest, which may not be there.
      rows: of `rows_of`.
      changed: visits of which other slices were taken before, so that nothing is known of them.

    Raises:
      InputError: it is there and not readable.
    """
    if not path.is_file():
        return [dict(row) for row in rows]
    lines = csv_rows.read_lines(path, "--out:")
    header = [name.lower() for name in lines[0][1]] if lines else []
    if manifest.PATIENT not in header or any(len(cells) not in (0, len(header)) for _, cells in lines):
        raise InputError(
            f"--out: {path} was edited so that it cannot be read (columns {', '.join(header)}); save it as "
            "comma-separated UTF-8, or move it away, and it is written anew"
        )
    before = {row[manifest.PATIENT]: row for row in (dict(zip(header, cells)) for _, cells in lines[1:] if cells)}
    gone = [name for name in before if name not in {row[manifest.PATIENT] for row in rows}]
    if gone:
        logging.warning(
            "%d rows of the manifest before are left out, such as %s: --dicom holds no such visit any more; give the "
            "folder that holds all downloads to have all of them",
            len(gone),
            gone[0],
        )
    column = next(name for name in _CLASS if name in rows[0])
    kept_column = next((name for name in _CLASS if name in header), column)
    if any(row[column] for row in rows):
        kept_column = column  # the table says anew what was filled in
    names = [kept_column if name == column else name for name in rows[0]]
    names += [name for name in header if name not in (*names, *_CLASS)]
    merged = []
    for row in rows:
        known = {} if row[manifest.PATIENT] in changed else before.get(row[manifest.PATIENT], {})
        fresh = {kept_column if name == column else name: cell for name, cell in row.items()}
        merged.append({name: fresh.get(name) or known.get(name, "") for name in names})
    return merged


def write_manifest(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Writes the rows as a manifest, whole or not at all."""
    with folders.whole(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
