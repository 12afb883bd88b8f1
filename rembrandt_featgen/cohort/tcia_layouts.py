"""Collections of The Cancer Imaging Archive with expert labels: REMBRANDT, TCGA gliomas, UCSF-PDGM, UPENN-GBM, and the
LGG segmentation set (Kaggle's, too)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from absl import logging

from rembrandt_featgen.cohort import case_files, image_paths, modality_names
from rembrandt_featgen.cohort.case_files import Naming
from rembrandt_featgen.cohort.patients import MASK, Entry, Problem, ways_out
from rembrandt_featgen.core.errors import InputError

# TCGA-02-0006_1996.08.23_flair.nii.gz; of REMBRANDT 900-00-5299_2005.03.22_flair_LPS_rSRI.nii.gz
_DATED = re.compile(r"((?P<patient>[A-Za-z0-9-]+)_\d{4}\.\d\d\.\d\d)_(?P<name>.+)")
_CORRECTED = "GlistrBoost_ManuallyCorrected"
_NAMING_TCGA = Naming("{id}_", masks=(_CORRECTED, "GlistrBoost"), spelt={"t1ce": "t1Gd"})
_NAMING_REMBRANDT = Naming(
    "{id}_",
    masks=(_CORRECTED, "GlistrBoost_out-labels", "GlistrBoost_out_label", "GlistrBoost_out", "GlistrBoost"),
    dropped="_LPS_rSRI",
)
FOLDER_UCSF = r"UCSF-PDGM-\d+(_FU\d+d)?_nifti"
_NAMING_UCSF = Naming(
    "{id}_",
    masks=("tumor_segmentation",),
    spelt={"flair": "FLAIR", "t1": "T1", "t1ce": "T1c", "t2": "T2"},
)
# Files of follow-ups keep the number that the visit had before it was known to be one.
_NAMING_UCSF_LATER = _NAMING_UCSF._replace(start=r"UCSF-PDGM-\d+(?:_FU\d+d)?_")
UPENN = "images_structural"
_FOLDER_UPENN = r"UPENN-GBM-\d+_\d\d"
_NAMING_UPENN = Naming(
    "{id}_",
    masks=("segm", "automated_approx_segm"),
    spelt={"flair": "FLAIR", "t1": "T1", "t1ce": "T1GD", "t2": "T2"},
)
FOLDER_SLICES = r"TCGA_[A-Z0-9]{2}_[A-Z0-9]{4}_\d{8}"
_CHANNELS = ("t1", "flair", "t1ce")  # of the LGG segmentation set: before contrast, FLAIR, after contrast


def dated_files(cohort: Path, *, of_tcga: bool, depth: int = 4) -> dict[str, list[Path]]:
    """Images that are named by a patient and a date: id of the visit, `<patient>_<date>`, to its files."""
    found: dict[str, list[Path]] = {}
    for file in case_files.images_in(cohort):
        match = _DATED.fullmatch(case_files.stem(file.name))
        if match and match["patient"].upper().startswith("TCGA") == of_tcga:
            found.setdefault(match[1], []).append(file)
    if depth > 1:
        for folder in case_files.subfolders(cohort):
            for name, files in dated_files(folder, of_tcga=of_tcga, depth=depth - 1).items():
                found.setdefault(name, []).extend(files)
    return found


def read_rembrandt(cohort: Path, modalities: Sequence[str]) -> Iterator[Entry]:
    """REMBRANDT's NIfTI release: `<patient>_<date>/<patient>_<date>_flair_LPS_rSRI.nii.gz` and
    `<patient>_<date>_GlistrBoost_ManuallyCorrected.nii.gz` (or `_GlistrBoost_out`, `_GlistrBoost_out-labels`), at any
    depth, such as 900-00-5299_2005.03.22; no labels."""
    visits = dated_files(cohort, of_tcga=False)
    _say_uncorrected(cohort, visits, _NAMING_REMBRANDT)
    for name, files in sorted(visits.items()):
        find = case_files.finder(files[0].parent, files, name=name, naming=_NAMING_REMBRANDT)
        yield Entry(str(files[0].parent), name, "", is_grade=False, find=find)


def read_tcga_glioma(cohort: Path, modalities: Sequence[str]) -> Iterator[Entry]:
    """Labels of pre-operative TCGA-GBM and -LGG: `TCGA-02-0006/TCGA-02-0006_1996.08.23_flair.nii.gz` (t1, t1Gd, t2) and
    `_GlistrBoost_ManuallyCorrected` (else `_GlistrBoost`), at any depth. The label is GBM or LGG where the cohort's
    folder or one in it says TCGA_GBM or TCGA_LGG, as the downloads do."""
    visits = dated_files(cohort, of_tcga=True)
    _say_uncorrected(cohort, visits, _NAMING_TCGA)
    for name, files in sorted(visits.items()):
        folder = files[0].parent
        find = case_files.finder(folder, files, name=name, naming=_NAMING_TCGA)
        yield Entry(str(folder), name, _collection(folder, cohort), is_grade=False, find=find)


def _collection(folder: Path, cohort: Path) -> str:
    """GBM or LGG, as the innermost folder says that says one, from that of the files up to the cohort's; else ""."""
    for name in reversed([cohort.resolve().name, *folder.relative_to(cohort).parts]):
        said = set(re.findall(r"TCGA[_-](GBM|LGG)", name))
        if said:
            return said.pop() if len(said) == 1 else ""
    return ""


def read_ucsf_pdgm(cohort: Path, modalities: Sequence[str]) -> Iterator[Entry]:
    """UCSF-PDGM: `UCSF-PDGM-0004_nifti/UCSF-PDGM-0004_FLAIR.nii.gz` (T1, T1c, T2 ...), the mask `_tumor_segmentation`;
    follow-ups are `UCSF-PDGM-0429_FU003d_nifti`. Labels are in UCSF-PDGM-metadata_v5.csv."""
    for folder in case_files.visit_folders(cohort, FOLDER_UCSF):
        name = folder.name.removesuffix("_nifti")
        naming = _NAMING_UCSF_LATER if "_FU" in name else _NAMING_UCSF
        find = case_files.finder(folder, case_files.images_in(folder), name=name, naming=naming)
        yield Entry(str(folder), name, "", is_grade=False, find=find)


def read_upenn_gbm(cohort: Path, modalities: Sequence[str]) -> Iterator[Entry]:
    """UPENN-GBM: `images_structural/UPENN-GBM-00001_11/UPENN-GBM-00001_11_FLAIR.nii.gz` (T1, T1GD, T2), masks
    `images_segm/UPENN-GBM-00001_11_segm.nii.gz`, else `automated_segm/UPENN-GBM-00001_11_automated_approx_segm.nii.gz`.
    Labels are in UPENN-GBM_clinical_info_v2.1.csv."""
    if not (cohort / UPENN).is_dir():
        raise InputError(
            f"--cohort={cohort}: no folder {UPENN}, found {case_files.shown(cohort, [])}; give the folder that holds "
            f"{UPENN}, images_segm and automated_segm"
        )
    masks = [file for place in ("images_segm", "automated_segm") for file in case_files.images_in(cohort / place)]
    visits = {folder.name: folder for folder in case_files.folders_named(cohort / UPENN, _FOLDER_UPENN, depth=1)}
    of_visit = {name: case_files.images_in(folder) for name, folder in visits.items()}
    for mask in masks:
        found = re.match(_FOLDER_UPENN, mask.name)
        if found and found[0] in of_visit:
            of_visit[found[0]].append(mask)
    _say_uncorrected(cohort, of_visit, _NAMING_UPENN)
    for name, folder in visits.items():
        find = case_files.finder(folder, of_visit[name], name=name, naming=_NAMING_UPENN)
        yield Entry(str(folder), name, "", is_grade=False, find=find)


def read_lgg_segmentation(cohort: Path, modalities: Sequence[str]) -> Iterator[Entry]:
    """LGG segmentation: `TCGA_CS_4941_19960909/TCGA_CS_4941_19960909_<n>.tif` of three channels (t1, flair, t1ce), and
    `_<n>_mask.tif`. Labels are in data.csv."""
    for folder in case_files.visit_folders(
        cohort, FOLDER_SLICES, lambda beside: image_paths.tif_slices(beside, mask=False)
    ):
        yield Entry(str(folder), folder.name, "", is_grade=False, find=_slices_finder(folder))


def _slices_finder(folder: Path) -> Callable[[str], Path]:
    def find(wanted: str) -> Path:
        number = "mask" if wanted == MASK else modality_names.position(_CHANNELS, wanted)
        if number is None:
            raise Problem(wanted, f"{folder}: no {wanted}, found channels {', '.join(_CHANNELS)}; {ways_out(wanted)}")
        ending = "_mask.tif" if wanted == MASK else ".tif"
        if not any(re.fullmatch(rf"{folder.name}_\d+{ending}", file.name) for file in folder.iterdir()):
            raise Problem(
                wanted,
                f"{folder}: no {wanted}, found {case_files.shown(folder, [])}, expected {folder.name}_1{ending} and so "
                f"on; add them, or {ways_out(wanted)}",
            )
        return folder.with_name(f"{folder.name}#{number}")

    return find


def _say_uncorrected(cohort: Path, visits: dict[str, list[Path]], naming: Naming) -> None:
    """Logs of how many visits the mask is the machine's alone, as no expert's is there."""
    second = []
    for name, files in visits.items():
        named = {modality_names.normal(one.name) for one in case_files.named_files(files, name, naming)}
        masks = [mask for mask in naming.masks if modality_names.normal(mask) in named]
        second += [(name, masks[0])] if masks and masks[0] != naming.masks[0] else []
    if second:
        logging.warning(
            "--cohort=%s: %d of %d masks are not those that experts corrected (%s), such as %s of %s",
            cohort,
            len(second),
            len(visits),
            naming.masks[0],
            second[0][1],
            second[0][0],
        )
