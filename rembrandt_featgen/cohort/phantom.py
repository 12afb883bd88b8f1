"""The phantom: a synthetic cohort of FLAIR-like volumes, whose lesions look more or less like their class.

Anatomy is drawn alike for all classes: outline, folds, ventricles, bright spots and rims that are no tumour, bias
field, noise, and the scale of intensities. Only the parameters in LOOKS depend on the class. Patients are independent
of each other and of how many there are.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from rembrandt_featgen.cohort import manifest, volumes
from rembrandt_featgen.cohort.classes import Classes, infer
from rembrandt_featgen.cohort.patients import Patient
from rembrandt_featgen.cohort.phantom_rendering import MODALITIES, render
from rembrandt_featgen.cohort.who_grades import GLIOMAS
from rembrandt_featgen.core import json_files
from rembrandt_featgen.core.errors import InputError

# Each parameter goes from the first value, typical of LGG, to the second, typical of HGG.
LOOKS = {
    "area": (0.020, 0.060),  # share of the slice that the lesion covers where it is largest
    "irregularity": (0.05, 0.30),  # deviation of the border, in radii
    "softness": (0.03, 0.14),  # width of the border, in radii: crisp to infiltrating
    "necrosis": (-0.30, 0.65),  # radius of the dark core, in the lesion's radii; none below 0
    "texture": (0.03, 0.20),  # deviation of the intensity inside, in white-matter intensities
    "contrast": (0.45, 0.80),  # how much brighter than white matter, in white-matter intensities
}
# Alike for all classes: uniform between the two.
ANATOMY = {
    "half_width": (0.58, 0.66),  # of the brain
    "half_length": (0.74, 0.84),
    "ventricle": (0.75, 1.30),  # size of the ventricles
    "rim": (0.10, 0.50),  # brightness of the ventricles' rim, which is no tumour
    "spots": (0, 6),  # bright spots, which are no tumour
    "bias": (0.04, 0.12),  # deviation of the bias field
    "noise": (0.03, 0.06),  # deviation of the scanner's noise, in white-matter intensities
    "scale": (300, 700),  # intensity of white matter, as scanners differ
    "centre_x": (0.18, 0.34),  # of the lesion, on either side
    "centre_y": (-0.40, 0.45),
    "centre_z": (-0.25, 0.25),
    "reach": (0.75, 1.00),  # of the lesion along z, half the height of the volume
    "elongation": (0.80, 1.25),
    "angle": (0.0, 3.14),
}
COHORT = "phantom"  # as --cohort names it
RECORD = "phantom.json"
_FRESH = "fresh_patients"  # in the record
_COUNTS = {"LGG": 12, "HGG": 18}
_MOST = 5000  # patients of a class, as ids of two classes have four digits


def write_phantom(
    folder: str | Path,
    counts: Mapping[str, int] | None = None,
    *,
    classes: Classes | None = None,
    test_counts: Mapping[str, int] | None = None,
    size: int = 240,
    slices: int = 8,
    difficulty: float = 0.5,
    seed: int = 0,
    modalities: Sequence[str] = ("flair",),
) -> Path:
    """Writes a cohort of files in folders by class, with what was drawn for each patient in phantom.json.

    The folders are the BraTS 2017 layout where the classes are LGG and HGG; else there is a manifest.csv beside them.

    Args:
      folder: where; an earlier phantom there is replaced.
      counts: class to its number of patients, from 1; 12 of LGG and 18 of HGG by default.
      classes: those of `counts`; None takes a known pair. The first looks as LGG does, the last as HGG, but LGG and HGG
        look as they do in any order.
      test_counts: class to its number of fresh patients, from 1, who are there for tests alone and do not depend on
        `counts`; see `fresh_patients`.
      size: pixels along each in-plane side, from 32.
      slices: slices of a volume, from 3.
      difficulty: in [0, 1], see `draw_look`: 0 for looks that never overlap, 1 for looks that say nothing of the class.
      seed: from 0; the n-th patient of a class, fresh or not, depends on nothing else of the cohort but seed and
        difficulty.
      modalities: some of MODALITIES, a file of each patient for each; FLAIR does not depend on the others.

    Returns:
      The folder, which appears only once all is written.

    Raises:
      InputError: an argument is out of range, the classes are not known, or the folder holds something else.
    """
    folder, counts = Path(folder), _COUNTS if counts is None else counts
    classes = classes or infer((), counts, "--phantom_counts")
    counts = {classes.match(name): count for name, count in counts.items()}
    fresh = {classes.match(name): count for name, count in (test_counts or {}).items()}
    settings: dict[str, Any] = {"size": size, "slices": slices, "difficulty": difficulty, "seed": seed}
    _check(folder, {name: counts.get(name, 0) for name in classes.names}, settings, modalities=modalities)
    _check_fresh(fresh, counts)
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    gliomas = set(classes.names) == set(GLIOMAS)
    looks = GLIOMAS if gliomas else classes.names
    # Ids are drawn from a shuffled list: they do not give the class away, and stay when patients are added.
    numbers = np.random.default_rng(seed).permutation(_MOST * len(looks))
    affine = np.diag([240 / size, 240 / size, 48 / slices, 1.0])
    patients, parameters, tested = [], {}, []
    for label, count in counts.items():
        place = looks.index(label)
        # Fresh patients are the last of all that there could be, so that no --phantom_counts ever has them.
        indices = [*range(count), *range(_MOST - fresh.get(label, 0), _MOST)]
        for index in tqdm(indices, f"phantoms of {label}", unit="patient"):
            generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(place, index)))
            drawn = {**draw_look(generator, place / (len(looks) - 1), difficulty), **draw_anatomy(generator)}
            images, mask = render(generator, drawn, size=size, slices=slices, modalities=modalities)
            patient = _patient(part / label, f"PHANTOM_{numbers[len(looks) * index + place]:04d}", images)
            for modality, image in images.items():
                volumes.write_new(patient.images[modality], image, affine)
            volumes.write_new(patient.mask, mask, affine)
            patients.append(patient)
            if index >= count:
                tested.append(patient.id)
            parameters[patient.id] = {"label": label, **{key: round(value, 4) for key, value in drawn.items()}}
    if not gliomas:
        manifest.write_manifest(part / manifest.FILE, sorted(patients, key=lambda patient: patient.id))
    cohort = {"counts": dict(counts), "classes": classes.record, **settings, "modalities": list(modalities)}
    record = {"cohort": cohort, "patients": dict(sorted(parameters.items())), _FRESH: sorted(tested)}
    text = json.dumps(record, indent=2)
    (part / RECORD).write_text(text + "\n", encoding="utf-8")
    if folder.exists():
        shutil.rmtree(folder)
    part.rename(folder)
    return folder


def fresh_patients(folder: str | Path) -> frozenset[str]:
    """Ids of a phantom cohort's patients who are there for tests alone; none of any other cohort.

    Args:
      folder: of the cohort, or another path that --cohort takes.
    """
    path = Path(folder) / RECORD
    record = json_files.read_json(path, fix="make the phantom again, or delete that file") if path.is_file() else {}
    fresh = record.get(_FRESH, []) if isinstance(record, dict) else None
    if not isinstance(fresh, list) or not all(isinstance(name, str) for name in fresh):
        raise InputError(f"{path} is damaged: no list of patients in {_FRESH!r}; make the phantom again, or delete it")
    return frozenset(fresh)


def draw_look(generator: np.random.Generator, place: float, difficulty: float) -> dict[str, float]:
    """Draws the parameters of LOOKS.

    Each is, independently and with probability `difficulty`, uniform over its whole range, whatever the class;
    otherwise it is uniform over the class's 40% of the range. At 0.5 the best possible classifier of two classes, given
    the drawn values, is right on some 92% of patients; at 1 on half.

    Args:
      generator: source of chance.
      place: of the class between the looks of LGG (0) and of HGG (1).
      difficulty: in [0, 1].

    Returns:
      Name to value.
    """
    look = {}
    for name, (low, high) in LOOKS.items():
        common, position = generator.random(2)
        if common >= difficulty:
            position = 0.4 * position + 0.6 * place
        look[name] = float(low + (high - low) * position)
    return look


def draw_anatomy(generator: np.random.Generator) -> dict[str, float]:
    """Draws what has nothing to do with the class: the parameters of ANATOMY, and the lesion's side (-1 or 1)."""
    drawn = {name: float(generator.uniform(low, high)) for name, (low, high) in ANATOMY.items()}
    return {**drawn, "side": float(generator.choice([-1, 1]))}


def _patient(parent: Path, name: str, modalities: Iterable[str]) -> Patient:
    """A patient of the class of the folder `parent`, whose files come into a new folder there."""
    home = parent / name
    home.mkdir(parents=True)
    images = {modality: home / f"{name}_{modality}.nii.gz" for modality in modalities}
    return Patient(name, label=parent.name, images=images, mask=home / f"{name}_seg.nii.gz")


def _check(
    folder: Path, counts: Mapping[str, int], settings: Mapping[str, float], *, modalities: Sequence[str]
) -> None:
    limits = {"size": (32, 1024), "slices": (3, 256), "difficulty": (0, 1), "seed": (0, 2**63)}
    for name, (low, high) in limits.items():
        if not low <= settings[name] <= high:
            raise InputError(
                f"--phantom_{name}={settings[name]} for the phantom cohort in {folder}; give a value from {low} to "
                f"{high}"
            )
    for name, count in counts.items():
        if not 1 <= count <= _MOST:
            raise InputError(
                f"--phantom_counts has {name}:{count} for the phantom cohort in {folder}; give a value from 1 to "
                f"{_MOST}"
            )
    unknown = [modality for modality in modalities if modality not in MODALITIES]
    if unknown or not modalities:
        raise InputError(
            f"--modalities={','.join(modalities)}: the phantom has {', '.join(MODALITIES)}; take some of these"
        )
    if folder.exists() and not (folder / RECORD).is_file():
        raise InputError(f"{folder}: there already, and no phantom cohort; choose another --run_dir, or move it away")


def _check_fresh(fresh: Mapping[str, int], counts: Mapping[str, int]) -> None:
    given = f"--phantom_test_counts={','.join(f'{name}:{count}' for name, count in fresh.items())}"
    if fresh and set(fresh) != set(counts):
        raise InputError(f"{given}: give a count for each class, {', '.join(counts)}")
    for name, count in fresh.items():
        if not 1 <= count <= _MOST - counts[name]:
            raise InputError(
                f"{given} has {name}:{count} beside the {counts[name]} of --phantom_counts; give a value from 1 to "
                f"{_MOST - counts[name]}"
            )
