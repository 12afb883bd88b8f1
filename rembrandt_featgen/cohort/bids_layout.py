"""BIDS: sub-01/ses-1/anat/sub-01_ses-1_FLAIR.nii.gz, masks in derivatives, labels in participants.tsv."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rembrandt_featgen.cohort import case_files, modality_names
from rembrandt_featgen.cohort.patients import MASK, Entry, Problem, ways_out

PARTICIPANTS = "participants.tsv"
SUBJECT = r"sub-[A-Za-z0-9]+"
_SESSION = r"ses-[A-Za-z0-9]+"
_MASKS = ("mask", "dseg", "seg", "segmentation", "roi", "label")  # the last part of a mask's name
_TUMOUR = re.compile(r"tumou?r|lesion|glioma|metasta[st]|gtv")
_OF_PEOPLE = re.compile(r"mask|seg|lesion|tumou?r|manual|label|truth|annot|expert|roi")  # folders of derivatives
_NOT_TUMOUR = ("brain", "gm", "wm", "csf", "aseg", "aparc", "aparcaseg", "tissue", "ventricles", "head", "skull")
_TEMPLATE = re.compile(r"MNI|fsaverage|fsLR|OASIS|SRI24", re.IGNORECASE)  # spaces of templates: not the images' place


def read_bids(cohort: Path, modalities: Sequence[str]) -> Iterator[Entry]:
    """BIDS: a patient is `sub-01`, or `sub-01_ses-1` where there are sessions.

    Images are raw ones, `anat/sub-01[_ses-1][_...]_FLAIR.nii.gz` (T1w, T2w; t1ce is T1w with a contrast agent,
    `_ce-gadolinium_T1w`). Masks are below `derivatives/<any>/sub-01/`, or with the images: names with tumor or lesion;
    else that end in `_mask` or `_dseg` and name nothing, in a folder of derivatives that says mask, seg, manual or so;
    in no template's space. One without a session is of the only session.
    """
    derivatives: dict[str, list[Path]] = {}
    for place in case_files.folders_named(cohort / "derivatives", SUBJECT):
        derivatives.setdefault(place.name, []).extend(_images_below(place))
    for subject in case_files.folders_named(cohort, SUBJECT, depth=1):
        sessions = list(case_files.folders_named(subject, _SESSION, depth=1))
        derived = derivatives.get(subject.name, [])
        for folder in sessions or [subject]:
            name = f"{subject.name}_{folder.name}" if sessions else subject.name
            raw = _images_below(folder)
            of_visit = [file for file in derived if _is_of(file, folder.name if sessions else "", len(sessions))]
            yield Entry(str(folder), name, "", is_grade=False, find=_finder(folder, name, raw=raw, derived=of_visit))


def _images_below(folder: Path) -> list[Path]:
    """Images in a folder and in those below, such as anat."""
    found = case_files.images_in(folder)
    for below in case_files.subfolders(folder):
        found += _images_below(below)
    return found


def _is_of(file: Path, session: str, sessions: int) -> bool:
    """Whether a mask is of a session: it says so, or says none and there is no other."""
    said = re.findall(rf"(?:^|[_/]){_SESSION}(?=[_/])", str(file))
    return any(found.strip("_/") == session for found in said) if said else sessions < 2


def _parts(file: Path) -> tuple[dict[str, str], str]:
    """Entities of a name, such as ce to gadolinium, and its last part, such as T1w."""
    *entities, last = case_files.stem(file.name).split("_")
    pairs = [entity.partition("-") for entity in [*entities, *[last] * ("-" in last)]]
    return {key: value for key, _, value in pairs}, last


def _is_image(file: Path, wanted: str) -> bool:
    entities, last = _parts(file)
    contrast = entities.get("ce", "none").lower() != "none"
    canonical = modality_names.canonical(last)
    return ("t1ce" if canonical == "t1" and contrast else canonical) == modality_names.canonical(wanted)


def _mask_rank(file: Path) -> int:
    """0 for a name that says tumour or lesion, 1 for a mask of nothing that is named, 2 for anything else."""
    entities, last = _parts(file)
    is_mask = re.match("|".join(_MASKS), last.lower()) or "label" in entities or _TUMOUR.search(last.lower())
    if not is_mask or _TEMPLATE.search(file.name):
        return 2
    texts = [last, *(value for key, value in entities.items() if key not in ("sub", "ses"))]
    if any(_TUMOUR.search(text.lower()) for text in texts):
        return 0
    words = {word for text in texts for word in re.split(r"[^a-z]+", text.lower())}
    named = {"label", "atlas", "seg"} & set(entities) or words & set(_NOT_TUMOUR)
    # What a program made, such as fmriprep's tissues, is no mask of a tumour; nor would anything else say so.
    pipelines = re.findall(r"/derivatives/([^/]+)/", file.as_posix())
    return 2 if named or not all(_OF_PEOPLE.search(pipeline.lower()) for pipeline in pipelines) else 1


def _finder(folder: Path, name: str, *, raw: Sequence[Path], derived: Sequence[Path]) -> Callable[[str], Path]:
    def find(wanted: str) -> Path:
        if wanted == MASK:
            ranked = [(_mask_rank(file), file) for file in (*derived, *raw)]
            best = min((rank for rank, _ in ranked), default=2)
            hits = [file for rank, file in ranked if rank == best < 2]
            expected = f"derivatives/<any>/.../{name}_label-tumor_mask.nii.gz"
        else:
            hits = [file for file in raw if _is_image(file, wanted) and _mask_rank(file) == 2]
            plain = [file for file in hits if set(_parts(file)[0]) <= {"sub", "ses", "ce"}]
            hits = plain or hits
            expected = f"anat/{name}_{'FLAIR' if wanted == 'flair' else wanted}.nii.gz"
        if len(hits) > 1:
            raise Problem(
                "both",
                f"{folder}: several files may be the {wanted}: {case_files.shown(folder, hits)}; keep one of them in "
                "--cohort, or write a manifest",
            )
        if not hits:
            files = [*raw, *derived] if wanted == MASK else raw
            raise Problem(
                wanted,
                f"{folder}: no {wanted}, found {case_files.shown(folder, files)}, expected {expected}; add it, or "
                f"{ways_out(wanted)}",
            )
        return hits[0]

    return find
