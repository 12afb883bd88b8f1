"""Tables of the report of a cohort, of what was read of its patients: sites, sizes, intensities, tumours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from rembrandt_featgen.cohort.patients import Cohort
from rembrandt_featgen.data.patient_survey import PatientSurvey

_MANY = 8  # rows of the table of sizes
_SAME = 0.005  # relative difference of spacings that are one, but for rounding


def sites(found: Sequence[PatientSurvey], cohort: Cohort) -> dict[str, dict[str, int]]:
    """Patients of each site by class; none where no site is known. Patients of unknown site are those of ""."""
    names = sorted({one.site for one in found})
    if names == [""]:
        return {}
    return {name: by_class(cohort, Counter(one.label for one in found if one.site == name)) for name in names}


def sizes(read: Sequence[PatientSurvey]) -> dict:
    """Range of each axis' size and spacing, and the most frequent pairs of shape and spacing."""
    if not read:
        return {}
    shapes, spacings = (np.array([getattr(one, name) for one in read], float) for name in ("shape", "spacing"))
    axes = {
        axis: {"size": _range(shapes[:, number]), "mm": _range(spacings[:, number])}
        for number, axis in enumerate(("slices", "rows", "columns"))
    }
    forms = _forms(read)
    listed = [{"shape": shape, "spacing": steps, "patients": n} for (shape, steps), n in forms.most_common(_MANY)]
    return {"axes": axes, "forms": listed, "more_forms": len(forms) - len(listed)}


def _forms(read: Sequence[PatientSurvey]) -> Counter[tuple[tuple[int, ...], tuple[float, ...]]]:
    """Patients of each pair of shape and spacing; spacings that differ by rounding alone are one."""
    forms: Counter[tuple[tuple[int, ...], tuple[float, ...]]] = Counter()
    for one in read:
        alike = (form for form in forms if form[0] == one.shape and np.allclose(form[1], one.spacing, _SAME, 0))
        forms[next(alike, (one.shape, tuple(float(f"{step:.3g}") for step in one.spacing)))] += 1
    return forms


def intensities(read: Sequence[PatientSurvey], modality: str) -> dict[str, dict]:
    """Of each site, or of "" where none is known: patients, and the range of their foreground's medians."""
    by_site: dict[str, list[float]] = {}
    for one in sorted(read, key=lambda one: one.site):
        by_site.setdefault(one.site, []).append(one.intensities[modality]["q50"])
    return {site: {"patients": len(values), **_range(np.array(values))} for site, values in by_site.items()}


def tumours(read: Sequence[PatientSurvey], cohort: Cohort, *, in_ml: bool) -> dict:
    """Of each class: patients with and without tumour, and the range of its volume, in ml or voxels."""
    rows = {}
    for name in cohort.classes.positive_first:
        members = [one for one in read if one.label == name]
        volumes = [
            one.tumour_voxels * (float(np.prod(one.spacing)) / 1000 if in_ml else 1)
            for one in members
            if one.tumour_voxels
        ]
        rows[name] = {"patients": len(members), "empty": len(members) - len(volumes), **_range(np.array(volumes))}
    return {"unit": "ml" if in_ml else "voxels", "classes": rows}


def _range(values: np.ndarray) -> dict[str, float | None]:
    """Lowest, median and highest."""
    if not len(values):
        return dict.fromkeys(("low", "middle", "high"))
    return {"low": float(values.min()), "middle": float(np.median(values)), "high": float(values.max())}


def by_class(cohort: Cohort, counts: Mapping[str, int]) -> dict[str, int]:
    """Counts of each class, the positive one first."""
    return {name: counts.get(name, 0) for name in cohort.classes.positive_first}
