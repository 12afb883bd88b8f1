"""Reads a cohort of NIfTI files, splits it by patient, and writes normalised slices as shards.

--cohort is a folder in BraTS 2017-2019 layout (HGG/ and LGG/), one in BraTS 2020 layout (name_mapping.csv), or a CSV
manifest with the columns patient, grade, mask and one for each modality (flair, ...).
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
from absl import logging
from tqdm import tqdm

from rembrandt_featgen import stages
from rembrandt_featgen.cohort import classes, duplicates, layouts, splits
from rembrandt_featgen.cohort.volumes import read_mask, read_volume
from rembrandt_featgen.core import cli, rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data import slicing, store
from rembrandt_featgen.nn import tensorboard
from rembrandt_featgen.stages import shared_flags


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the stage."""

    run_dir: str = shared_flags.run_dir()
    cohort: str = shared_flags.cohort()
    layout: str = shared_flags.layout()
    classes: tuple[str, ...] = shared_flags.classes()
    modalities: tuple[str, ...] = shared_flags.modalities()
    image_size: int = cli.flag(
        240, "Pixels along each side of a slice; a multiple of 16.", minimum=32, source="paper 3.5"
    )
    test_fraction: float = cli.flag(
        0.1, "Share of each grade's patients kept for the test.", minimum=0.01, maximum=0.9, source="paper 3.4"
    )
    test_counts: tuple[str, ...] = cli.flag(
        (), "Test patients of each grade instead of a share, such as HGG:7,LGG:4 (the paper's).", source="paper 3.4"
    )
    validation_fraction: float = shared_flags.validation_fraction()
    split_file: str = cli.flag(
        "", "A split.json that says which patient is in which split, such as another run's; replaces the shares above."
    )
    seed: int = shared_flags.seed()


def run(config: Config) -> None:
    """Writes run_dir/slices: shards of each split, split.json, and the normalisation in stage.json."""
    if config.image_size % 16:
        raise InputError(
            f"--image_size={config.image_size} must be a multiple of 16 (four poolings); "
            f"take {config.image_size // 16 * 16} or {(config.image_size // 16 + 1) * 16}"
        )
    cohort = config.cohort
    if cohort == "phantom":
        cohort = str(rundir.find(config.run_dir, "make_phantom").folder / "cohort")
    patients = layouts.find_patients(cohort, config.layout, config.modalities)
    names = classes.infer(config.classes, (patient.grade for patient in patients), f"--cohort={config.cohort}")
    assignment = _assignment(config, patients)
    split = hashlib.sha256(repr(sorted(assignment.items())).encode()).hexdigest()
    with rundir.open_stage(
        config, "prepare_slices", digests={"cohort": _digest(patients), "split": split}, classes=names.record
    ) as stage:
        if stage.done:
            return
        moments = slicing.Moments(len(config.modalities))
        pixels, tumour = 0, 0
        for patient in tqdm(
            [p for p in patients if assignment[p.id] == "train"], "training patients' mean", unit="patient"
        ):
            image, mask, _ = _load(patient, config)
            moments.add(image)
            pixels, tumour = pixels + mask.size, tumour + int(mask.sum())
        mean, deviation = moments.mean(), moments.deviation()
        counts = _write_slices(config, patients, assignment, stage.path, mean, deviation)
        splits.write_split(stage.path / "split.json", assignment, patients)
        tensorboard.complete(
            stage,
            source=str(config.cohort),
            mean=mean,
            deviation=deviation,
            tumour_prior=tumour / pixels,
            modalities=config.modalities,
            **counts,
        )
        for split, entry in counts["split"].items():
            grades = (f"{entry['patients'][g]} {g} patients ({entry['slices'][g]} slices)" for g in layouts.GRADES)
            logging.info("slices of %s: %s", split, ", ".join(grades))


def _assignment(config: Config, patients) -> dict[str, str]:
    """Which patient is in which split, as drawn or as --split_file says."""
    if not config.split_file:
        assignment = splits.split_patients(
            patients, config.validation_fraction, config.test_fraction, config.seed, _test_counts(config)
        )
        return _checked(assignment, patients, f"--test_counts={','.join(config.test_counts)}")
    assignment, known = splits.read_split(config.split_file), {patient.id for patient in patients}
    for names, where in ((known - set(assignment), "--cohort only"), (set(assignment) - known, "the split only")):
        if names:
            others = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
            raise InputError(
                f"--split_file={config.split_file}: patient {sorted(names)[0]}{others} is in {where}; give the split "
                "of this very cohort"
            )
    return _checked(assignment, patients, f"--split_file={config.split_file}")


def _checked(assignment: dict[str, str], patients, flag: str) -> dict[str, str]:
    """The assignment; InputError where a split is empty or there is a grade without training patients."""
    for split in splits.SPLITS:
        if split not in assignment.values():
            raise InputError(f"{flag} leaves no patient for {split}; put at least one there")
    for grade in layouts.GRADES:
        if not any(assignment[patient.id] == "train" for patient in patients if patient.grade == grade):
            raise InputError(f"{flag} leaves no {grade} patient to train on; put at least one there")
    return assignment


def _test_counts(config: Config) -> dict[str, int] | None:
    """--test_counts as numbers."""
    try:
        return {grade: int(count) for grade, count in (item.split(":") for item in config.test_counts)} or None
    except ValueError as error:
        raise InputError(f"--test_counts={','.join(config.test_counts)}: write it as HGG:7,LGG:4") from error


def _load(patient: layouts.Patient, config: Config, compare: bool = False):
    """Reads a patient's slices: images [n, size, size, channels], masks [n, size, size, 1], tumour voxels cut off.

    `compare` warns of a mask that lies elsewhere in space than its image.
    """
    read = [read_volume(patient.images[modality]) for modality in config.modalities]
    volumes = [volume.voxels for volume in read]
    for modality, volume in zip(config.modalities, volumes):
        if volume.shape != volumes[0].shape:
            raise InputError(
                f"{patient.images[modality]}: shape {volume.shape}, but {config.modalities[0]} of the same patient has "
                f"{volumes[0].shape}; resample one of them or leave it out of --modalities"
            )
    mask = read_mask(patient.mask, volumes[0].shape, read[0] if compare else None)
    image = slicing.centre_crop_or_pad(slicing.as_displayed(np.stack(volumes, -1)), config.image_size)
    cropped = slicing.centre_crop_or_pad(slicing.as_displayed(mask), config.image_size)
    # [height, width, slices, channels] -> [slices, height, width, channels]
    return np.moveaxis(image, 2, 0), np.moveaxis(cropped, 2, 0)[..., None], int(mask.sum()) - int(cropped.sum())


def _write_slices(config, patients, assignment, folder, mean, deviation) -> dict:
    """Writes each split's shards; returns the counts that the report shows."""
    size = config.image_size
    tensors = {"image": ((size, size, len(config.modalities)), "float32"), "mask": ((size, size, 1), "uint8")}
    counts, empty, cut, fingerprints = {}, [], [], {}
    for split in splits.SPLITS:
        members = [patient for patient in patients if assignment[patient.id] == split]
        entry = {"patients": _per_grade(p.grade for p in members), "slices": Counter(HGG=0, LGG=0), "empty_masks": 0}
        with store.Writer(folder, split, tensors) as writer:
            for patient in tqdm(members, f"slices of {split}", unit="patient"):
                images, masks, lost = _load(patient, config, compare=True)
                fingerprints[patient.id] = duplicates.fingerprint(np.moveaxis(images[..., 0], 0, 2))
                normalised = (images - mean) / np.where(deviation > 0, deviation, 1.0)
                for index, (image, mask) in enumerate(zip(normalised, masks)):
                    label = layouts.GRADES.index(patient.grade)
                    writer.write({"image": image, "mask": mask}, patient.id, index, label)
                    entry["empty_masks"] += int(not mask.any())
                entry["slices"][patient.grade] += len(images)
                if not masks.any():
                    empty.append(patient.id)
                if lost:
                    cut.append(f"{patient.id} ({lost} voxels)")
        counts[split] = entry
    _refuse_duplicates(fingerprints, assignment)
    if empty:
        logging.warning("%d patients have an empty mask, which is legal: %s", len(empty), ", ".join(empty))
    if cut:
        logging.warning("--image_size=%d cuts off tumour of %s", size, ", ".join(cut))
    return {
        "patients": _per_grade(p.grade for p in patients),
        "slices": sum((entry["slices"] for entry in counts.values()), Counter()),
        "split": counts,
        "empty_mask_patients": empty,
        "tumour_cut_off": cut,
    }


def _refuse_duplicates(fingerprints, assignment) -> None:
    """InputError for patients who are there twice: they could stand on both sides of a split."""
    pairs = duplicates.find_duplicates(fingerprints)
    if pairs:
        first, second, correlation = pairs[0]
        others = f", and {len(pairs) - 1} more such pairs" if pairs[1:] else ""
        raise InputError(
            f"--cohort: {first} ({assignment[first]}) and {second} ({assignment[second]}) hold the same volume "
            f"(correlation {correlation:.4f}{others}): a patient under two names leaks from training into the test; "
            "keep one of the two"
        )


def _per_grade(grades) -> dict[str, int]:
    return {"HGG": 0, "LGG": 0, **Counter(grades)}


def _digest(patients) -> str:
    """One digest of the content of all files of the cohort, and of its grades."""
    digest = hashlib.sha256()
    for patient in patients:
        digest.update(f"{patient.id} {patient.grade}".encode())
        for path in [*patient.images.values(), patient.mask]:
            digest.update(hashlib.sha256(Path(path).read_bytes()).digest())
    return digest.hexdigest()


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, __doc__, stages.all_flags)


if __name__ == "__main__":
    main()
