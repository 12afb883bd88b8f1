"""What may be wrong with how volumes lie, and with what the slices that networks see show of them, in sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from rembrandt_featgen.cohort import cohort_warnings
from rembrandt_featgen.data.volume_measures import Measured

_LEAST = 0.03  # of the head or body; its sparse margins are no loss
_NAMED = 3  # patients in a sentence


def sentences(measured: Mapping[str, Measured], flags: str) -> list[str]:
    """Sentences on spacing, planes and orientation, and on what is cut off; none where there is nothing to say.

    Args:
      measured: of each patient.
      flags: that say how slices are cut.
    """
    spacings = {patient: one.spacing.tolist() for patient, one in measured.items()}
    return [
        *cohort_warnings.mixed_spacing(spacings),
        *cohort_warnings.thick_in_plane(spacings),
        *cohort_warnings.without_orientation(
            {patient: one.unoriented for patient, one in measured.items() if one.unoriented}
        ),
        *planes({patient: one.plane for patient, one in measured.items()}),
        *moved({patient: one.moved for patient, one in measured.items() if one.moved}),
        *cut_off(
            {patient: one.content_cut for patient, one in measured.items()},
            {patient: one.tumour_cut for patient, one in measured.items() if one.cut},
            flags,
        ),
    ]


def planes(of_patients: Mapping[str, str]) -> list[str]:
    """A sentence where slices lie in several planes, by --slice_axis=auto; `of_patients` gives that of each."""
    counts = Counter(of_patients.values())
    if len(counts) < 2:
        return []
    listed = ", ".join(f"{count} {plane}" for plane, count in sorted(counts.items()))
    return [
        f"slices lie in different planes ({listed}), in which lesions look different: a network may tell patients by "
        "them; --slice_axis=axial, coronal or sagittal takes one plane for all"
    ]


def moved(files: Mapping[str, str]) -> list[str]:
    """A sentence on files that --geometry brought to the patient's first image.

    Args:
      files: patient to what was done to which of them, as `PatientVolume.moved` says; of those of whom there are any.
    """
    if not files:
        return []
    listed = "; ".join(f"{patient}: {files[patient]}" for patient in sorted(files)[:_NAMED])
    more = f"; and {len(files) - _NAMED} more" if len(files) > _NAMED else ""
    return [
        f"{len(files)} patient{'s' * (len(files) != 1)} with files that lie elsewhere than the first image, and that "
        f"--geometry brought there ({listed}{more}); see in the pictures of the cohort report whether they fit"
    ]


def cut_off(content: Mapping[str, float], tumours: Mapping[str, float], flags: str) -> list[str]:
    """Sentences on what lies outside of the slices.

    Args:
      content: share of the head or body of each patient.
      tumours: share of the tumour, of those of whom some is outside.
      flags: that say how slices are cut.
    """
    said = []
    if lost := {patient: share for patient, share in content.items() if share > _LEAST}:
        most = max(lost, key=lambda patient: lost[patient])
        said.append(
            f"{np.median(list(lost.values())):.0%} of the head or body of {len(lost)} of {len(content)} patients is "
            f"cut off by {flags} (median; most of {most}, {lost[most]:.0%}); --fit=resize shrinks what is larger, and "
            "cuts nothing off"
        )
    if tumours:
        # what is shrunk to its size loses nothing but what the box of the head or body leaves out
        advice = "take a larger --image_size, or --fit=resize"
        if "--fit=resize" in flags.split():
            advice = "it lies outside of the box of the head or body that --crop finds; --crop=none keeps all"
        shares = ", ".join(f"{patient} ({_share(share)})" for patient, share in list(tumours.items())[:_NAMED])
        more = f" and {len(tumours) - _NAMED} more" if len(tumours) > _NAMED else ""
        said.append(
            f"tumour of {len(tumours)} of {len(content)} patients is cut off by {flags}: {shares}{more}; {advice}"
        )
    return said


def _share(share: float) -> str:
    return "less than 0.1%" if share < 0.001 else f"{share:.1%}"
