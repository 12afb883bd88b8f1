"""Makes a cohort of a DICOM download, as TCIA gives it: lists its series, takes FLAIR (or others) by their headers, and
writes NIfTI files and a manifest.csv, in which nothing identifies a patient.

Fill in what is blank in the manifest (labels, masks) and give it as --cohort. Nothing is taken blindly: each series is
listed with what it shows and why it is taken or not; --list does no more than that.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from absl import logging

from rembrandt_featgen.cohort import (
    dicom_choice,
    dicom_import,
    dicom_kinds,
    dicom_manifest,
    dicom_series,
    labels_table,
    manifest,
)
from rembrandt_featgen.cohort.dicom_choice import Choice
from rembrandt_featgen.cohort.dicom_import import Visit
from rembrandt_featgen.cohort.dicom_series import DicomSeries
from rembrandt_featgen.cohort.patients import Entry
from rembrandt_featgen.core import cli, folders
from rembrandt_featgen.core.errors import InputError


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the binary."""

    dicom: str = cli.flag(
        "", "Folder of the download; files at any depth, whatever their names.", required=True, path=True
    )
    out: str = cli.flag(
        "", "Folder that is made for the NIfTI files and their manifest.csv; not needed for --list.", path=True
    )
    list: bool = cli.flag(False, "Whether series are only listed, with what would be taken and why.")
    modalities: tuple[str, ...] = cli.flag(
        ("flair",), f"What is taken of each visit, by the headers: some of {', '.join(dicom_kinds.KINDS)}."
    )
    series: tuple[str, ...] = cli.flag(
        (),
        "UIDs of series that are taken in place of those that would be, for what they show; modality:UID takes one for "
        "that modality, whatever it shows.",
    )
    patient_ids: str = cli.flag(
        "pseudonym",
        "pseudonym: patients become P0001 ..., and the key is written beside --out, as OUT_key.csv, to be kept apart; "
        "keep: their ids of the download, which may identify them.",
        choices=dicom_import.PATIENT_IDS,
    )
    labels_table: str = cli.flag(
        "", "Clinical table, .csv or .tsv, from which the manifest's labels are filled in.", path=True
    )
    label_column: str = cli.flag(manifest.LABEL, "Column of --labels_table with the class.")
    patient_column: str = cli.flag(manifest.PATIENT, "Column of --labels_table with the patients' ids of the download.")
    masks: str = cli.flag(
        "", "Folder of masks in any format, whose names hold the patients' ids of the download.", path=True
    )


def run(config: Config) -> Path | None:
    """Lists what there is; writes the cohort, and returns its manifest (None with --list)."""
    modalities = cli.some_of("modalities", config.modalities, dicom_kinds.KINDS)
    if not config.list and not config.out:
        raise InputError("give --out=FOLDER for what is written, or --list to see what there is")
    series = dicom_series.scan(Path(config.dicom))
    choice = dicom_choice.choose(series, modalities, config.series)
    for line in lines_of(series, choice):
        print(line)
    if config.list:
        return None
    if not choice.taken:
        raise InputError(
            f"--dicom={config.dicom}: none of its {len(series)} series shows --modalities={','.join(modalities)}, by "
            "what is listed above; name series by --series=modality:UID"
        )
    out = Path(config.out)
    folders.make_folder(out, "--out")
    with folders.lock(out / ".lock", out) as refused:
        if refused is not None:
            raise refused
        return _write(config, choice, modalities, out=out)


def _write(config: Config, choice: Choice, modalities: Sequence[str], *, out: Path) -> Path:
    patients = sorted({taken.patient for taken in choice.taken})
    if config.patient_ids == "keep":
        names = dicom_import.kept_names(patients)
    else:
        key = out.with_name(f"{out.resolve().name}_key.csv")
        names = dicom_import.pseudonyms(patients, key)
        logging.info("%s says which patient is which: keep it apart from %s, and give it to nobody", key, out)
    visits = dicom_import.visits_of(choice.taken, names)
    column, labels = _labels(config, visits)
    path = out / manifest.FILE
    dicom_manifest.check_is_of_import(path)
    written = dicom_import.write_volumes(visits, out)
    masks, left = dicom_import.write_masks(visits, Path(config.masks), out) if config.masks else ({}, [])
    if left:
        logging.warning("--masks: %d files are of no visit that was taken, such as %s", len(left), left[0].name)
    rows = list(
        dicom_manifest.rows_of(visits, modalities, images=written.files, masks=masks, labels=labels, column=column)
    )
    lacking = [visit for visit in visits if any(name not in visit.series for name in modalities)]
    if lacking:
        missing = [name for name in modalities if name not in lacking[0].series]
        logging.warning(
            "%d visits lack a modality and are not in the manifest, such as %s, which has no %s",
            len(lacking),
            lacking[0].id,
            ", ".join(missing),
        )
    apart = [visit.id for visit in visits if dicom_import.on_different_grids(visit)]
    if apart:
        logging.warning(
            "the modalities of %d visits have different voxels, such as those of %s: give --geometry=resample with "
            "this cohort",
            len(apart),
            apart[0],
        )
    if not rows:
        raise InputError(
            f"--dicom={config.dicom}: no visit has all of --modalities={','.join(modalities)}; leave some out, or name "
            "series by --series=modality:UID"
        )
    rows = dicom_manifest.with_what_was_filled_in(path, rows, written.changed)
    dicom_manifest.write_manifest(path, rows)
    classes = next(name for name in (manifest.LABEL, manifest.GRADE) if name in rows[0])
    blank = {name: sum(not row[name] for row in rows) for name in (classes, "mask")}
    logging.info(
        "%s: %d visits of %d patients%s",
        path,
        len(rows),
        len({row[manifest.GROUP] for row in rows}),
        "".join(f"; {count} without {name}, fill it in" for name, count in blank.items() if count),
    )
    return path


def lines_of(series: Sequence[DicomSeries], choice: Choice) -> list[str]:
    """What is listed: a line for each patient and visit, and two for each series."""
    lines, before = [], None
    for index, one in enumerate(series):
        if (one.patient, one.visit) != before:
            before = (one.patient, one.visit)
            lines.append(f"patient {one.patient}, visit of {one.header['date'] or 'unknown date'}")
        part = f" ({one.part})" if one.part else ""
        copies = f"; {one.copies} files are there twice" if one.copies else ""
        lines.append(f"  {one.header['description'] or '(no description)'}{part}: {one.described()}{copies}")
        lines.append(f"    {choice.why[index]} [{one.uid}]")
    return lines


def _labels(config: Config, visits: Sequence[Visit]) -> tuple[str, dict[str, str]]:
    """The manifest's column of the class, and visit to class as --labels_table has it; "" where it has none."""
    if not config.labels_table:
        return manifest.LABEL, {}

    def nothing(name: str) -> Path:
        raise InputError(f"{name} is not looked for here")

    entries = [Entry("", visit.patient, "", is_grade=False, find=nothing) for visit in visits]
    columns = manifest.ManifestColumns(label=config.label_column, patient=config.patient_column)
    table = labels_table.read(Path(config.labels_table))
    joined = labels_table.join(entries, table, columns)
    column = manifest.GRADE if joined[0].is_grade else manifest.LABEL
    return column, {visit.id: entry.text for visit, entry in zip(visits, joined)}


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, about=__doc__)


if __name__ == "__main__":
    main()
