"""Finds the patients of a cohort, with class, images and mask, in one of several layouts of files."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from absl import logging

from rembrandt_featgen.cohort import (
    case_files,
    classes,
    cohort_patients,
    known_layouts,
    labels_table,
    manifest,
    modality_names,
    visit_names,
)
from rembrandt_featgen.cohort.csv_rows import Table
from rembrandt_featgen.cohort.known_layouts import Layout
from rembrandt_featgen.cohort.manifest import ManifestColumns
from rembrandt_featgen.cohort.patients import MASK, Cohort, Entry
from rembrandt_featgen.cohort.pseudonyms import Pseudonyms
from rembrandt_featgen.core.errors import InputError


@dataclasses.dataclass(frozen=True)
class CohortOptions:
    """What else says who the patients of a cohort are.

    Attributes:
      labels_table: file of clinical data by patient, for the class, group, site, covariates; "" for the layout's.
      group_pattern: regular expression whose first group finds, in an id, what no split may divide; "" for the ways to
        name visits that are known (`visit_names`).
      incomplete: one of `cohort_patients.INCOMPLETE`: what becomes of patients without a class, an image or a mask.
      pseudonyms: that log lines and errors say in place of ids and groups, from when these are known; the patients keep
        theirs, for `Pseudonyms.of_cohort` to replace. None to say ids.
    """

    labels_table: str = ""
    group_pattern: str = ""
    incomplete: str = cohort_patients.REFUSE
    pseudonyms: Pseudonyms | None = None


_USUAL = CohortOptions()
LAYOUTS = ("auto", *known_layouts.KNOWN)


def find_cohort(
    cohort: str | Path,
    layout: str = "auto",
    modalities: Sequence[str] = ("flair",),
    *,
    names: Sequence[str] = (),
    columns: ManifestColumns = manifest.USUAL,
    masks: bool = True,
    options: CohortOptions = _USUAL,
) -> Cohort:
    """Finds the patients of a cohort.

    Layouts, in full in the docstrings of their readers (files end in .nii.gz or .nii, unless another ending is given):
      brats2013: `HGG/<id>/VSD.Brain.XX.O.MR_Flair.<n>/<the same>.mha`; also 2015.
      brats2017: `HGG/<id>/<id>_flair`, mask `HGG/<id>/<id>_seg`; the same below `LGG/`. Also 2018 and 2019.
      brats2020: `<id>/<id>_flair` and `_seg`, grades in `name_mapping.csv` (Grade, BraTS_2020_subject_ID).
      brats2021: `BraTS2021_00000/BraTS2021_00000_flair` and `_seg`.
      brats2023: `BraTS-GLI-00005-000/BraTS-GLI-00005-000-t2f` and `-seg`; also 2024, 2025.
      rembrandt: `<id>_<date>/<id>_<date>_flair_LPS_rSRI` and `_GlistrBoost_ManuallyCorrected`.
      tcga_glioma: `TCGA-02-0006/TCGA-02-0006_1996.08.23_flair` and `_GlistrBoost_ManuallyCorrected`.
      lgg_segmentation: `TCGA_CS_4941_19960909/TCGA_CS_4941_19960909_1.tif` and `_1_mask.tif`.
      ucsf_pdgm: `UCSF-PDGM-0004_nifti/UCSF-PDGM-0004_FLAIR` and `_tumor_segmentation`.
      upenn_gbm: `images_structural/UPENN-GBM-00001_11/UPENN-GBM-00001_11_FLAIR`, `images_segm/UPENN-GBM-00001_11_segm`.
      bids: `sub-01/ses-1/anat/sub-01_ses-1_FLAIR`, masks below `derivatives/`, labels in participants.tsv.
      nnunet: `imagesTr/<id>_0000` and `labelsTr/<id>`, channels named by dataset.json.
      decathlon: 4-D `imagesTr/BRATS_001` and `labelsTr/BRATS_001`, volumes named by dataset.json.
      manifest: a CSV (commas, semicolons or tabs) with the columns patient, label (or grade), mask and one for each
        modality; paths are absolute or start at the CSV's folder. Column names in any case.
      auto: a .csv, .tsv or .txt file is a manifest; a folder is recognised by what is in it.

    Args:
      cohort: folder, or manifest CSV.
      layout: one of LAYOUTS.
      modalities: what each patient must have, such as flair, t1, t1ce, t2; also by other names, such as t2f (see
        `modality_names`).
      names: the classes of --classes, the positive one last; none to take a known pair.
      columns: of a manifest, or of a table of labels, that say the class, group, site and covariates of a patient.
      masks: whether each patient must have one; else none is looked for.
      options: a table of labels, groups by name, and what becomes of patients who lack something.

    Returns:
      The patients, sorted by id, and the classes. WHO grades become LGG and HGG where --classes names these, or where
      there is no --classes and the layout or the column says grade; all other labels are taken as written, in any case.

    Raises:
      InputError: nothing found, or a patient without class, image or mask, or given twice (the message is about the
        first such patient, and counts the others); ids that differ in spelling alone; or the classes are no known pair,
        or not those of --classes.
    """
    cohort = Path(cohort)
    _check_modalities(modalities)
    if layout == "auto":
        cohort, layout = known_layouts.recognised(cohort)
    if layout not in known_layouts.KNOWN:
        raise InputError(f"--layout={layout} is not known; take one of {', '.join(LAYOUTS)}")
    if not cohort.exists():
        raise InputError(f"--cohort={cohort}: no such folder or file; give a folder or a manifest CSV that exists")
    table = _table(cohort, known_layouts.KNOWN[layout], options.labels_table)
    entries = _entries(cohort, layout, modalities, columns=columns, masks=masks, options=options, table=table)
    patients = cohort_patients.patients_of(
        entries,
        modalities,
        names,
        masks=masks,
        group_pattern=options.group_pattern,
        incomplete=options.incomplete,
    )
    found = classes.infer(names, (patient.label for patient in patients.values()), f"--cohort={cohort}")
    # Labels as the classes spell them.
    spelt = [dataclasses.replace(patient, label=found.match(patient.label)) for patient in patients.values()]
    ordered = sorted(spelt, key=lambda patient: patient.id)
    return Cohort(ordered, found, layout=layout, table=str(table.path) if table else "")


def _entries(
    cohort: Path,
    layout: str,
    modalities: Sequence[str],
    *,
    columns: ManifestColumns,
    masks: bool,
    options: CohortOptions,
    table: Table | None,
) -> list[Entry]:
    """What the layout and the table of labels, if any, say of the patients; InputError where there are none."""
    known = known_layouts.KNOWN[layout]
    if layout == known_layouts.MANIFEST:
        beside = _without(columns, table) if table else columns
        entries = list(manifest.read_manifest(cohort, modalities, beside, masks=masks, labelled=table is None))
    else:
        if not table:
            _refuse_columns(columns, f"--cohort={cohort} (--layout={layout})")
        entries = list(known.read(cohort, modalities))
    if not entries:
        raise InputError(
            f"--cohort={cohort}: no patients in it, found {case_files.shown(cohort, [])}; expected {known.expected} "
            f"(--layout={layout})"
        )
    _withhold(entries, table, options)
    if not table:
        if layout != known_layouts.MANIFEST and not any(entry.text for entry in entries):
            usual = f", of {' or '.join(known.tables)}, which is not there" if known.tables else ""
            raise InputError(
                f"--cohort={cohort} (--layout={layout}): files and folders say no patient's class{usual}; name a table "
                "that does with --labels_table, and its column with --label_column"
            )
        return entries
    if layout != known_layouts.MANIFEST:
        for name in columns.covariates:
            table.needed(name, "--covariates")
        for name, flag in ((columns.group, "--group_column"), (columns.site, "--site_column")):
            if name.lower() in columns.chosen:
                table.needed(name, flag)
    return labels_table.join(
        entries,
        table,
        columns,
        usual=known.label,
        group_pattern=options.group_pattern,
        has_groups=bool(options.labels_table),
    )


def _withhold(entries: Sequence[Entry], table: Table | None, options: CohortOptions) -> None:
    """Withholds what identifies the patients: ids, the patients of visits, groups, and ids as a table spells them."""
    if options.pseudonyms is None:
        return
    ids = [entry.id for entry in entries]
    names = {*ids, *map(visit_names.patient_of, ids), *(entry.group for entry in entries)}
    if options.group_pattern:
        names |= {visit_names.group_of(name, options.group_pattern) for name in ids}
    spelt = {visit_names.spelling(name) for name in names}
    cells = {cell for _, row in table.rows for cell in row if visit_names.spelling(cell) in spelt} if table else set()
    options.pseudonyms.withhold(ids, {*names, *cells}, where="--cohort")


def _table(cohort: Path, known: Layout, given: str) -> Table | None:
    """The table of --labels_table, or the one that a download of the layout has."""
    if given:
        return labels_table.read(Path(given))
    path = labels_table.default_table(cohort, known.tables)
    if path:
        logging.info("--cohort=%s: labels are those of %s, as --labels_table names no other", cohort, path)
    return labels_table.read(path) if path else None


def _without(columns: ManifestColumns, table: Table) -> ManifestColumns:
    """Columns that a manifest must have beside a table of labels: the class is the table's, as is what it has."""

    def left(name: str, usual: str) -> str:
        return usual if table.position(name) is not None else name

    return ManifestColumns(
        group=left(columns.group, manifest.GROUP),
        site=left(columns.site, manifest.SITE),
        covariates=tuple(name for name in columns.covariates if table.position(name) is None),
    )


def _refuse_columns(columns: ManifestColumns, where: str) -> None:
    """InputError for columns that were asked for of a cohort that has none."""
    for name, flag in columns.chosen.items():
        raise InputError(
            f"{where} has no columns, and {flag} names {name}; give a table that has it with --labels_table, or leave "
            f"{flag} out"
        )


def _check_modalities(modalities: Sequence[str]) -> None:
    given = f"--modalities={','.join(modalities)}"
    if not modalities or not all(modalities):
        raise InputError(f"{given} names none; give at least one, such as flair")
    if len({modality_names.canonical(name) for name in modalities}) < len(modalities):
        raise InputError(f"{given} names one twice; give each once")
    columns = {"seg", MASK, manifest.PATIENT, manifest.LABEL, manifest.GRADE}
    reserved = columns & {modality.lower() for modality in modalities}
    if reserved:
        raise InputError(f"{given}: {reserved.pop()} is not an image; give modalities such as flair, t1, t1ce, t2")
