"""The layouts of files that are known, and which of them a folder has."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from absl import logging

from rembrandt_featgen.cohort import (
    bids_layout,
    brats_layouts,
    case_files,
    file_signatures,
    manifest,
    nnunet_layouts,
    tcia_layouts,
)
from rembrandt_featgen.cohort.patients import Entry
from rembrandt_featgen.core.errors import InputError


class Layout(NamedTuple):
    """A way in which files are laid out.

    Attributes:
      read: from the cohort's path and the modalities to its entries.
      expected: what such a cohort looks like, for messages.
      tables: what its table of labels is called, in its folder or the one above; none where files or folders say them.
      label: the column of that table which has grades.
    """

    read: Callable[[Path, Sequence[str]], Iterator[Entry]]
    expected: str
    tables: tuple[str, ...] = ()
    label: str = ""


MANIFEST = "manifest"  # the layout that has columns
_TABLES = (".csv", ".tsv", ".txt")  # endings of files that are manifests
_DEPTH = 2  # folders with nothing else beside that a download may have around the cohort
_LOOKED_AT = 100  # files of a cohort of no layout: whether they are DICOM

KNOWN = {
    "brats2013": Layout(
        brats_layouts.read_brats2013, "a folder with HGG/<patient>/ and VSD.Brain.XX.O.MR_Flair.<number>.mha in it"
    ),
    "brats2017": Layout(brats_layouts.read_brats2017, "a folder with HGG/<patient>/ and LGG/<patient>/"),
    "brats2020": Layout(brats_layouts.read_brats2020, f"a folder with <patient>/ and {brats_layouts.MAPPING}"),
    "brats2021": Layout(brats_layouts.read_brats2021, "folders BraTS2021_00000/"),
    "brats2023": Layout(brats_layouts.read_brats2023, "folders BraTS-GLI-00005-000/"),
    "rembrandt": Layout(tcia_layouts.read_rembrandt, "files 900-00-5299_2005.03.22_flair_LPS_rSRI.nii.gz"),
    "tcga_glioma": Layout(tcia_layouts.read_tcga_glioma, "files TCGA-02-0006_1996.08.23_flair.nii.gz"),
    "lgg_segmentation": Layout(
        tcia_layouts.read_lgg_segmentation, "folders TCGA_CS_4941_19960909/ of .tif slices", ("data.csv",)
    ),
    "ucsf_pdgm": Layout(
        tcia_layouts.read_ucsf_pdgm,
        "folders UCSF-PDGM-0004_nifti/",
        tables=("UCSF-PDGM-metadata*.csv",),
        label="WHO CNS Grade",
    ),
    "upenn_gbm": Layout(
        tcia_layouts.read_upenn_gbm, f"a folder with {tcia_layouts.UPENN}/", ("UPENN-GBM_clinical_info*.csv",)
    ),
    "bids": Layout(bids_layout.read_bids, "a folder with sub-<patient>/", (bids_layout.PARTICIPANTS,)),
    "nnunet": Layout(
        nnunet_layouts.read_nnunet, f"{nnunet_layouts.DATASET}, imagesTr/<patient>_0000.nii.gz and labelsTr/"
    ),
    "decathlon": Layout(
        nnunet_layouts.read_decathlon, f"{nnunet_layouts.DATASET}, imagesTr/<patient>.nii.gz and labelsTr/"
    ),
    MANIFEST: Layout(
        manifest.read_manifest, f"a manifest: a .csv file, or a folder with {manifest.FILE}, a row for each patient"
    ),
}


# Of layouts that are recognised by names of folders, which a download may have further folders around.
_PATTERNS = (
    ("brats2021", brats_layouts.FOLDER_2021),
    ("brats2023", brats_layouts.FOLDER_2023),
    ("ucsf_pdgm", tcia_layouts.FOLDER_UCSF),
    ("lgg_segmentation", tcia_layouts.FOLDER_SLICES),
)


def recognised(cohort: Path) -> tuple[Path, str]:
    """The cohort's path and layout, through folders that hold one folder and nothing else that is known."""
    if not cohort.exists():
        raise InputError(f"--cohort={cohort}: no such folder or file; give a folder or a manifest CSV that exists")
    place = cohort
    for _ in range(_DEPTH + 1):
        layout = _detect(place)
        if layout:
            logging.info("--cohort=%s: --layout=auto reads it as %s", place, layout)
            return place, layout
        below = case_files.subfolders(place)
        if len(below) != 1:
            break
        place = below[0]
    if cohort.is_file():
        raise InputError(
            f"--cohort={cohort}: no folder, and by its name no manifest ({', '.join(_TABLES)}); save a sheet as .csv, "
            "or give the folder of the patients"
        )
    dicom = _dicom_in(cohort)
    if dicom:
        raise InputError(
            f"--cohort={cohort} holds DICOM files, such as {dicom.relative_to(cohort)}: run python -m "
            f"rembrandt_featgen.stages.import_dicom --dicom={cohort} --out=FOLDER first, which writes NIfTI files and "
            "a manifest, and give --cohort=FOLDER"
        )
    raise InputError(
        f"--cohort={cohort}: no layout fits, found {case_files.shown(cohort, [])}; name the folder that holds the "
        "patients, lay them out as a data set of rembrandt_featgen/cohort/README.md, or write a manifest (a .csv file "
        "with the columns patient, label, mask and one for each modality)"
    )


def _dicom_in(folder: Path) -> Path | None:
    """A DICOM file among the first in a folder, at any depth; None where there is none."""
    for file in itertools.islice(_files_below(folder), _LOOKED_AT):
        found = file_signatures.recognise(file)
        if file.suffix.lower() == ".dcm" or found and found.format == "dicom":
            return file
    return None


def _files_below(folder: Path) -> Iterator[Path]:
    """All files in a folder, at any depth, in the order of their names; read no further than they are taken."""
    for root, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(root, name) for name in sorted(names))


def _detect(cohort: Path) -> str:
    """The layout of a folder or file, by what is in it; "" where none is recognised."""
    if cohort.is_file() and cohort.suffix.lower() in _TABLES or (cohort / manifest.FILE).is_file():
        return MANIFEST
    if brats_layouts.grade_folders(cohort):
        return "brats2013" if brats_layouts.has_series_of_2015(cohort) else "brats2017"
    if (cohort / brats_layouts.MAPPING).is_file():
        return "brats2020"
    if (cohort / nnunet_layouts.IMAGES).is_dir():
        return "nnunet" if nnunet_layouts.has_channel_files(cohort) else "decathlon"
    if (cohort / tcia_layouts.UPENN).is_dir():
        return "upenn_gbm"
    if next(case_files.folders_named(cohort, bids_layout.SUBJECT, depth=1), None):
        return "bids"
    by_name = [layout for layout, pattern in _PATTERNS if next(case_files.folders_named(cohort, pattern), None)]
    if not by_name:
        dated = {"tcga_glioma": True, "rembrandt": False}
        by_name = [layout for layout, of_tcga in dated.items() if tcia_layouts.dated_files(cohort, of_tcga=of_tcga)]
    if len(by_name) > 1:
        raise InputError(
            f"--cohort={cohort}: patients of several data sets in it, of --layout={' and '.join(by_name)}; give the "
            "folder of one of them, name one with --layout, or write a manifest of both"
        )
    return by_name[0] if by_name else ""
