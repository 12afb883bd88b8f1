"""What may be wrong with a cohort, in sentences: of what was measured of its patients, before anything is trained.

Each function takes what is known of each patient, by id, and returns a sentence for each thing that somebody should
look at; none where there is nothing. Spacings are [3] mm between slices, rows and columns.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from scipy import stats

from rembrandt_featgen.cohort import visit_names
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.cohort.geometry import THICK
from rembrandt_featgen.cohort.groups import counted_elsewhere, groups_of
from rembrandt_featgen.cohort.patients import Cohort, Patient
from rembrandt_featgen.measures.auroc_error import auroc_interval

MIXED = 1.2  # largest distance of voxels over the smallest, between patients
BRIGHT = 10.0  # brightness over that of the others
FEW_GROUPS = 10  # of a class
LEAST_GROUPS = 5  # of a class, below which nothing is said of what its tumours' volumes tell
FEW_SLICES = 3
FEW_VOXELS = 10  # of a tumour
SEPARATED = 0.8  # AUROC of the tumours' volume alone
UNLIKELY = 0.01  # p-value
CT_BELOW = -200.0  # no MRI has such values, z-scored or otherwise prepared; air has -1000, fat -100
_AXES = ("slices", "rows", "columns")
_NAMED = 3  # patients in a sentence


def some(names: Collection[str]) -> str:
    """The first of some names, and how many more there are."""
    ordered = sorted(names)
    more = len(ordered) - _NAMED
    return ", ".join(ordered[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def patients(names: Collection[str]) -> str:
    """How many patients, and the first of them."""
    return f"{len(names)} patient{'s' * (len(names) != 1)} ({some(names)})"


def mixed_spacing(spacings: Mapping[str, Sequence[float]]) -> list[str]:
    """Where voxels of some patients are larger than those of others, by more than `MIXED` along an axis."""
    if not spacings:
        return []
    names, values = list(spacings), np.array(list(spacings.values()), float)
    low, high = values.min(0), values.max(0)
    said = [
        f"{axis} {low[i]:.3g} mm apart ({names[values[:, i].argmin()]}) to {high[i]:.3g} mm "
        f"({names[values[:, i].argmax()]})"
        for i, axis in enumerate(_AXES)
        if high[i] > MIXED * low[i]
    ]
    if not said:
        return []
    middle = np.median(values, 0)
    wanted = ",".join(f"{middle[i]:.3g}" for i in (2, 1, 0))
    advice = f"--spacing={wanted} (the medians) resamples all volumes alike"
    if 0 < sum(map(_is_thick, values)) < len(values):  # medians of several planes are those of none
        advice = "they were acquired in different planes, and --slice_axis=auto cuts each volume in its own"
    return [
        f"voxels differ in size between patients: {'; '.join(said)}. Sizes in pixels then mean different things, and a "
        f"network may tell scanners by them; {advice}"
    ]


def thick_in_plane(spacings: Mapping[str, Sequence[float]]) -> list[str]:
    """Where slices are cut across a thick axis: they were acquired in another plane."""
    thick = {name: one for name, one in spacings.items() if _is_thick(one)}
    if not thick:
        return []
    first = min(thick)
    slices, rows, columns = thick[first]
    return [
        f"{patients(thick)}: slices lie across the thick axis, of {first} {rows:.3g} x {columns:.3g} mm in their plane "
        f"and {slices:.3g} mm apart, so the volume was acquired in another plane; --slice_axis=auto takes that one"
    ]


def _is_thick(spacing: Sequence[float]) -> bool:
    """Whether slices lie across a thick axis."""
    return max(spacing[1:]) > THICK * spacing[0]


def without_orientation(files: Mapping[str, str]) -> list[str]:
    """Where no header says how a volume lies.

    Args:
      files: patient to the first file of which that holds, and how its axes were read; of those of whom it does.
    """
    if not files:
        return []
    return [
        f"{patients(files)}: no header says how the volume lies in space (such as {files[min(files)]}); look at the "
        "pictures of the cohort report whether heads are upright"
    ]


def brightness(levels: Mapping[str, float], sites: Mapping[str, str], modality: str) -> list[str]:
    """Sites whose volumes are more than `BRIGHT` times as bright as the others', or else such patients.

    Args:
      levels: of each patient, above 0: how far the foreground lies above the darkest voxels.
      sites: of each patient; "" where not known.
      modality: name, for the sentence.
    """
    known = {name: level for name, level in levels.items() if np.isfinite(level) and level > 0}
    if len(known) < 2:
        return []
    advice = (
        "; --normalise=volume takes the scale off each volume (auto does for MRI); with --normalise=cohort it stays, "
        "and a classifier can learn it"
    )
    ratios = {site: _over_others(known, sites, site) for site in {sites[name] for name in known} - {""}}
    bright = {site: ratio for site, ratio in ratios.items() if ratio > BRIGHT}
    dark = {site: 1 / ratio for site, ratio in ratios.items() if 0 < ratio < 1 / BRIGHT} if not bright else {}
    found = [
        f"{modality} of site {site} is {float(f'{ratio:.2g}'):,.0f} times as bright as that of the others"
        for site, ratio in sorted(bright.items())
    ]
    found += [
        f"{modality} of site {site} is {float(f'{ratio:.2g}'):,.0f} times as dark as that of the others"
        for site, ratio in sorted(dark.items())
    ]
    if found:
        return [f"{line}{advice}" for line in found]
    middle = float(np.median(list(known.values())))
    odd = {name for name, level in known.items() if not 1 / BRIGHT <= level / middle <= BRIGHT}
    return [
        f"{modality} of {patients(odd)} is more than {BRIGHT:g} times as bright or as dark as the median patient's"
        f"{advice}"
    ] * bool(odd)


def _over_others(levels: Mapping[str, float], sites: Mapping[str, str], site: str) -> float:
    """Median level of a site over that of all others; 1 where there are no others."""
    here = [level for name, level in levels.items() if sites[name] == site]
    others = [level for name, level in levels.items() if sites[name] != site]
    return float(np.median(here) / np.median(others)) if others else 1.0


def mixed_kinds(lowest: Mapping[str, float], modality: str) -> list[str]:
    """Where a modality is CT in some patients, with air far below 0, and MRI in others."""
    ct = {name for name, value in lowest.items() if value < CT_BELOW}
    other = set(lowest) - ct
    if not ct or not other:
        return []
    fewer, what = (ct, "fall") if len(ct) <= len(other) else (other, "do not fall")
    return [
        f"{modality} of {patients(fewer)} {what} below {CT_BELOW:g}, as CT does, unlike the others; CT and MRI in one "
        "cohort, or CT without its offset, are told apart by that alone"
    ]


def same_images(pairs: Mapping[str, Sequence[str]]) -> list[str]:
    """Where two modalities of a patient hold the same image.

    Args:
      pairs: patient to the modalities, of those of whom that holds.
    """
    if not pairs:
        return []
    first = min(pairs)
    return [
        f"{patients(pairs)}: modalities hold the same image, of {first} {' and '.join(pairs[first])}; one was copied "
        "where the other was missing, or a file is in the wrong column"
    ]


def masks(voxels: Mapping[str, int]) -> list[str]:
    """Empty masks, and tumours of hardly any voxels; `voxels` of tumour by patient."""
    empty = {name for name, count in voxels.items() if not count}
    tiny = {name for name, count in voxels.items() if 0 < count < FEW_VOXELS}
    said = [f"{patients(empty)}: the mask is empty, which is right where there is no tumour"] * bool(empty)
    return said + [f"{patients(tiny)}: the mask has fewer than {FEW_VOXELS} voxels; see whether it is whole"] * bool(
        tiny
    )


def few_slices(slices: Mapping[str, int]) -> list[str]:
    """Volumes that are hardly volumes."""
    few = {name for name, count in slices.items() if count < FEW_SLICES}
    return [
        f"{patients(few)}: fewer than {FEW_SLICES} slices; see whether the third axis is that of the slices"
    ] * bool(few)


def volume_tells_class(
    voxels: Mapping[str, float], labels: Mapping[str, str], classes: Classes, *, groups_of: Mapping[str, str]
) -> list[str]:
    """Where the volume of the mask alone separates two classes, of enough groups each, by more than chance.

    Args:
      voxels: of each patient's tumour, or its volume; 0 where there is none.
      labels: of each patient.
      classes: of the cohort.
      groups_of: of each patient; visits of one count once for the interval.
    """
    if len(classes.names) != 2:
        return []
    members = [[name for name in voxels if labels[name] == one] for one in classes.names]
    counts = [len({groups_of[name] for name in names}) for names in members]
    if min(counts) < LEAST_GROUPS:
        return []
    negatives, positives = ([voxels[name] for name in names] for names in members)
    auroc = float(stats.mannwhitneyu(positives, negatives).statistic) / (len(positives) * len(negatives))
    apart = max(auroc, 1 - auroc)
    low, high = auroc_interval(counts[1], counts[0], apart)
    if apart < SEPARATED or low <= 0.5:
        return []
    return [
        f"the volume of the mask alone tells the classes apart (AUROC {apart:.2f}, 95% interval {low:.2f} to "
        f"{high:.2f}; {'larger' if auroc > 0.5 else 'smaller'} in {classes.positive}): good figures may be size alone"
    ]


def classes_by_site(labels: Mapping[str, str], sites: Mapping[str, str], classes: Classes) -> list[str]:
    """Where sites differ in their shares of the classes by more than chance (chi-squared test)."""
    known = [name for name in labels if sites[name]]
    there, rows = {labels[name] for name in known}, sorted({sites[name] for name in known})
    columns = [name for name in classes.positive_first if name in there]
    if len(columns) < 2 or len(rows) < 2:
        return []
    counts = Counter((sites[name], labels[name]) for name in known)
    table = np.array([[counts[site, label] for label in columns] for site in rows])
    p_value = float(stats.chi2_contingency(table, correction=False).pvalue)
    if p_value >= UNLIKELY:
        return []
    largest = np.argsort(-table.sum(1), kind="stable")[:_NAMED]
    shares = "; ".join(
        f"{rows[i]} {', '.join(f'{label} {count}' for label, count in zip(columns, table[i]))}" for i in sorted(largest)
    )
    return [
        f"sites and classes go together ({shares}; chi-squared test, p "
        f"{'< 0.001' if p_value < 0.001 else f'= {p_value:.3f}'}): a classifier can learn the site; --cv_grouping=site "
        "tests sites that it has not seen"
    ]


def groups(listed: Sequence[Patient], classes: Classes) -> list[str]:
    """Classes of few groups, and groups that have patients of several classes."""
    of_class: dict[str, set[str]] = {name: set() for name in classes.positive_first}
    for patient in listed:
        of_class[patient.label].add(patient.group)
    noun, whole = visit_names.nouns({patient.id: patient.group for patient in listed})
    few = [f"{len(found)} of class {name}" for name, found in of_class.items() if len(found) < FEW_GROUPS]
    said = [f"few {whole or noun}, {', '.join(few)}: what they say is a matter of luck"] * bool(few)
    counts = Counter(group for found in of_class.values() for group in found)
    several = {group for group, count in counts.items() if count > 1}
    cohort = Cohort(list(listed), classes)
    said += [
        f"no group counts as class {name}, so that no split can be made{counted_elsewhere(cohort, name)}"
        for name, found in groups_of(cohort).items()
        if of_class[name] and not found
    ]
    return said + [
        f"{len(several)} group{'s' * (len(several) != 1)} ({some(several)}) with patients of several classes, such as "
        "visits before and after a change; a split takes such a group for the class of most of them"
    ] * bool(several)


def look_alikes(pairs: Sequence[tuple[str, str, float]], groups_of: Mapping[str, str]) -> list[str]:
    """Patients of different groups whose volumes are alike, as `duplicates.find_duplicates` finds them."""
    apart = [pair for pair in pairs if groups_of[pair[0]] != groups_of[pair[1]]]
    if not apart:
        return []
    first, second, correlation = apart[0]
    more = f", and {len(apart) - 1} more such pair{'s' * (len(apart) != 2)}" if apart[1:] else ""
    return [
        f"{first} and {second} hold the same volume (correlation {correlation:.4f}{more}): a patient under two names "
        "leaks from training into the test, and stops the run; keep one of the two, give both one group, or, where you "
        "know them to be two, give --look_alikes=allow"
    ]
