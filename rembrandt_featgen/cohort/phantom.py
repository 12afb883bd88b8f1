"""The phantom: a synthetic cohort of FLAIR-like volumes, whose lesions look more or less like their grade.

Anatomy is drawn alike for both grades: outline, folds, ventricles, bright spots and rims that are no tumour, bias
field, noise, and the scale of intensities. Only the parameters in LOOKS know the grade. Lengths are in half-widths of
the slice, and random fields live on grids that do not depend on the number of pixels, so that a patient has the same
anatomy at any size; patients are independent of each other and of how many there are.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rembrandt_featgen.cohort import volumes
from rembrandt_featgen.cohort.layouts import GRADES
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
# Alike for both grades: uniform between the two.
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
# Other modalities show what FLAIR shows through a curve of their own: the intensity of fluid, white matter and lesion,
# which are _KNOTS in FLAIR without noise. They tell no more of the lesion than FLAIR does.
_KNOTS = (0.22, 1.0, 1.6)
_CURVES = {"t1": (0.5, 1.0, 0.7), "t1ce": (0.5, 1.0, 1.5), "t2": (1.8, 1.0, 1.6)}
MODALITIES = ("flair", *_CURVES)
_MOST = 5000  # patients of a grade, as ids have four digits


def write_phantom(
    folder: str | Path,
    hgg: int = 18,
    lgg: int = 12,
    size: int = 240,
    slices: int = 8,
    difficulty: float = 0.5,
    seed: int = 0,
    modalities: Sequence[str] = ("flair",),
) -> Path:
    """Writes a cohort in BraTS 2017 layout, with what was drawn for each patient in phantom.json.

    Args:
      folder: where; an earlier phantom there is replaced.
      hgg: number of high-grade patients, from 1.
      lgg: number of low-grade patients, from 1.
      size: pixels along each in-plane side, from 32.
      slices: slices of a volume, from 3.
      difficulty: in [0, 1], see `draw_look`: 0 for looks that never overlap, 1 for looks that say nothing of the grade.
      seed: from 0; the n-th patient of a grade depends on nothing else of the cohort but seed and difficulty.
      modalities: some of MODALITIES, a file of each patient for each; FLAIR does not depend on the others.

    Returns:
      The folder, which appears only once all is written.

    Raises:
      InputError: an argument is out of range, or the folder holds something else.
    """
    folder = Path(folder)
    _check(folder, hgg, lgg, size, slices, difficulty, seed, modalities)
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    # Ids are dealt from a shuffled pack: they tell no grade, and stay when patients are added.
    pack = np.random.default_rng(seed).permutation(_MOST * len(GRADES))
    affine = np.diag([240 / size, 240 / size, 48 / slices, 1.0])
    patients = {}
    for label, count in ((GRADES.index("HGG"), hgg), (GRADES.index("LGG"), lgg)):
        for index in range(count):
            name = f"PHANTOM_{pack[len(GRADES) * index + label]:04d}"
            generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(label, index)))
            drawn = {**draw_look(generator, label, difficulty), **draw_anatomy(generator)}
            images, mask = render(generator, drawn, size, slices, modalities)
            home = part / GRADES[label] / name
            home.mkdir(parents=True)
            for modality, image in images.items():
                volumes.write_new(home / f"{name}_{modality}.nii.gz", image, affine)
            volumes.write_new(home / f"{name}_seg.nii.gz", mask, affine)
            patients[name] = {"grade": GRADES[label], **{key: round(value, 4) for key, value in drawn.items()}}
    cohort = {"hgg": hgg, "lgg": lgg, "size": size, "slices": slices, "difficulty": difficulty, "seed": seed}
    cohort["modalities"] = list(modalities)
    text = json.dumps({"cohort": cohort, "patients": dict(sorted(patients.items()))}, indent=2)
    (part / "phantom.json").write_text(text + "\n", encoding="utf-8")
    if folder.exists():
        shutil.rmtree(folder)
    part.rename(folder)
    return folder


def draw_look(generator: np.random.Generator, label: int, difficulty: float) -> dict[str, float]:
    """Draws the parameters of LOOKS.

    Each for itself is, with probability `difficulty`, uniform over its whole range, whatever the grade; otherwise it is
    uniform over the grade's own 40% of the range. At 0.5 the best possible classifier, given the drawn values, is right
    on some 92% of patients; at 1 on half.

    Args:
      generator: source of chance.
      label: 0 for LGG, 1 for HGG.
      difficulty: in [0, 1].

    Returns:
      Name to value.
    """
    look = {}
    for name, (low, high) in LOOKS.items():
        common, position = generator.random(2)
        if common >= difficulty:
            position = 0.4 * position + 0.6 * label
        look[name] = float(low + (high - low) * position)
    return look


def draw_anatomy(generator: np.random.Generator) -> dict[str, float]:
    """Draws what has nothing to do with the grade: the parameters of ANATOMY, and the lesion's side (-1 or 1)."""
    drawn = {name: float(generator.uniform(low, high)) for name, (low, high) in ANATOMY.items()}
    return {**drawn, "side": float(generator.choice([-1, 1]))}


def render(
    generator: np.random.Generator, drawn: dict, size: int, slices: int, modalities: Sequence[str] = ("flair",)
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Renders a patient.

    Args:
      generator: source of the random fields.
      drawn: the parameters, of both `draw_look` and `draw_anatomy`.
      size: pixels along x and y.
      slices: along z.
      modalities: some of MODALITIES.

    Returns:
      Modality to image [size, size, slices] int16, 0 outside the brain; and the mask, uint8 in {0, 1}. The mask is
      where the lesion outweighs the brain, and takes in the necrotic core.
    """
    # Pixel centres, in half-widths: x [size, 1, 1], y [1, size, 1], z [1, 1, slices].
    axes = [(2 * np.arange(n) + 1) / n - 1 for n in (size, size)] + [np.linspace(-1, 1, slices)]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    tissue, inside = _brain(generator, drawn, axes, x, y, z)
    blend, lesion = _lesion(generator, drawn, axes, x, y, z, inside)
    clean = tissue * (1 - blend) + lesion * blend
    clean *= np.exp(drawn["bias"] * _field(generator, axes, 0.8))
    images = {}
    for modality in sorted(modalities, key=MODALITIES.index):  # FLAIR's noise is drawn first, whatever follows
        shown = np.interp(clean, _KNOTS, _CURVES[modality]) if modality in _CURVES else clean
        real, imaginary = drawn["noise"] * generator.standard_normal((2, *clean.shape))
        image = drawn["scale"] * np.hypot(shown + real, imaginary) * inside  # Rician, as in magnitude images
        images[modality] = np.rint(image).astype(np.int16)
    return images, ((blend > 0.5) & inside).astype(np.uint8)


def _brain(generator, drawn, axes, x, y, z):
    """Intensity of the healthy brain, 1 in white matter, and where the brain is."""
    height = 1 - 0.12 * (z + 0.2) ** 2  # slices shrink towards the vertex and the base
    length = drawn["half_length"] * np.where(y > 0, 1.03, 0.97)  # the frontal pole is the longer one
    radius = ((np.abs(x) / drawn["half_width"]) ** 2.2 + (np.abs(y) / length) ** 2.2) ** (1 / 2.2) / height
    radius = radius + 0.025 * _field(generator, axes, 0.25)
    inside = radius < 1
    # Sulci run where a random field changes sign, deeper here and shallower there; grey matter, 1.3, lines them.
    folds = _field(generator, axes, 0.045)
    depth = _step(radius - 0.76 + 0.08 * _field(generator, axes, 0.12), 0.05)
    ribbon = np.maximum(np.exp(-((folds / 0.75) ** 2)) * depth, _step(radius - 0.95, 0.02))
    tissue = 1 + 0.3 * ribbon + 0.05 * _field(generator, axes, 0.10) + 0.03 * _field(generator, axes, 0.03)
    nuclei = _step(1 - np.hypot((np.abs(x) - 0.30) / 0.09, (y - 0.12) / 0.17), 0.1)
    tissue = tissue + 0.15 * nuclei * _step(0.6 - z, 0.1)
    sulci = np.exp(-((folds / 0.2) ** 2)) * depth**2
    midline = x + 0.012 * _field(generator, axes, 0.4)
    fissure = np.exp(-((midline / 0.012) ** 2)) * _step(np.abs(y) - 0.36, 0.04)
    ventricles = _ventricles(drawn["ventricle"], midline, y, z) + 0.12 * _field(generator, axes, 0.12)
    rim = drawn["rim"] * np.exp(-((ventricles / 0.35) ** 2)) * (0.7 + 0.3 * np.tanh(_field(generator, axes, 0.15)))
    tissue = tissue + rim + _spots(generator, drawn["spots"], x, y, z)
    fluid = np.maximum(np.maximum(0.75 * sulci, 0.8 * fissure), _step(ventricles, 0.08))
    return tissue * (1 - fluid) + 0.22 * fluid, inside


def _ventricles(scale, x, y, z):
    """Above 0 inside two crescents beside the midline, whose horns spread towards front and back."""
    along = y / (scale * 0.36 * (1 - 0.2 * z))
    beside = scale * (0.05 + 0.10 * along**2)
    wide = scale * 0.05 * (1 - 0.3 * z) * (1 + 0.35 * np.tanh(2 * along))
    return 1 - np.sqrt(((np.abs(x) - beside) / wide) ** 2 + along**4)


def _spots(generator, count, x, y, z):
    """White-matter hyperintensities: small, bright, and no tumour."""
    spots = 0.0
    for _ in range(int(count)):
        centre, at = generator.uniform([0.12, -0.5, -1], [0.40, 0.5, 1]), generator.choice([-1, 1])
        distance = ((x - at * centre[0]) ** 2 + (y - centre[1]) ** 2) / generator.uniform(0.015, 0.035) ** 2
        spots = spots + generator.uniform(0.4, 0.9) * np.exp(-distance - ((z - centre[2]) / 0.25) ** 2)
    return spots


def _lesion(generator, drawn, axes, x, y, z, inside):
    """How far the lesion replaces the brain, in [0, 1], and its intensity."""
    cosine, sine = np.cos(drawn["angle"]), np.sin(drawn["angle"])
    dx, dy, dz = x - drawn["side"] * drawn["centre_x"], y - drawn["centre_y"], z - drawn["centre_z"]
    guess = np.sqrt(4 * drawn["area"] / np.pi)  # radius of a disc of this area, in half-widths
    along, across = (cosine * dx + sine * dy) * drawn["elongation"], (cosine * dy - sine * dx) / drawn["elongation"]
    plain = np.sqrt((along**2 + across**2) / guess**2 + (dz / drawn["reach"]) ** 2)
    border = 0.8 * _field(generator, axes, 0.12) + 0.6 * _field(generator, axes, 0.05)
    radius = plain + drawn["irregularity"] * border * np.minimum(plain, 1.2)
    # Scaled so that the area is as drawn where the lesion is largest, however irregular it is.
    middle = int(np.argmin(np.abs(dz)))
    shown = inside[:, :, middle]
    wanted = np.ceil(drawn["area"] * shown.size)
    radius = radius / np.sort(radius[:, :, middle][shown])[int(min(wanted, shown.sum()) - 1)]
    blend = _step(1 - radius, drawn["softness"])
    core = _step(drawn["necrosis"] - plain * (1 + 0.25 * _field(generator, axes, 0.08)) - 0.05 * border, 0.06)
    texture = 0.8 * _field(generator, axes, 0.07) + 0.6 * _field(generator, axes, 0.03)
    bright = 1 + drawn["contrast"] + drawn["texture"] * texture
    return blend, np.maximum(bright * (1 - core) + 0.5 * core, 0.2)


def _step(distance, width):
    """From 0 to 1 where `distance` goes through 0, over some `width` to either side."""
    return 0.5 + 0.5 * np.tanh(distance / width)


def _field(generator, axes, grain):
    """A smooth Gaussian random field of mean 0 and deviation 1.

    It sums bumps around the knots of a grid, as high as the noise there; the grid is the same whatever the pixels.
    """
    weights = []
    for axis, spacing in zip(axes, (grain, grain, 0.5)):
        knots = np.linspace(-1.2, 1.2, int(np.ceil(2.4 / spacing)) + 1)
        weight = np.exp(-0.5 * ((axis[:, None] - knots) / spacing) ** 2)
        weights.append(weight / np.linalg.norm(weight, axis=1, keepdims=True))  # unit variance at each voxel
    field = generator.standard_normal([weight.shape[1] for weight in weights])
    for weight in weights:
        field = np.tensordot(field, weight, (0, 1))  # [a, b, c] -> [b, c, voxels of a]: after three, in order again
    return field


def _check(folder, hgg, lgg, size, slices, difficulty, seed, modalities) -> None:
    limits = {
        "--phantom_hgg": (hgg, 1, _MOST),
        "--phantom_lgg": (lgg, 1, _MOST),
        "--phantom_size": (size, 32, 1024),
        "--phantom_slices": (slices, 3, 256),
        "--phantom_difficulty": (difficulty, 0, 1),
        "--phantom_seed": (seed, 0, 2**63),
    }
    for flag, (value, low, high) in limits.items():
        if not low <= value <= high:
            raise InputError(f"{flag}={value} for the phantom cohort in {folder}; give a value from {low} to {high}")
    unknown = [modality for modality in modalities if modality not in MODALITIES]
    if unknown or not modalities:
        raise InputError(
            f"--modalities={','.join(modalities)}: the phantom has {', '.join(MODALITIES)}; take some of these"
        )
    if folder.exists() and not (folder / "phantom.json").is_file():
        raise InputError(f"{folder}: there already, and no phantom cohort; choose another --run_dir, or move it away")
