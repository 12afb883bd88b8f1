"""Reads a cohort of NIfTI files, splits it by patient, and writes normalised slices as shards.

--cohort is a folder in BraTS 2017-2019 layout (HGG/ and LGG/), one in BraTS 2020 layout (name_mapping.csv), or a CSV
manifest with the columns patient, label, mask and one for each modality (flair, ...).
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from absl import logging
from tqdm import tqdm

from rembrandt_featgen import stages
from rembrandt_featgen.cohort import duplicates, layouts, split_files, splits
from rembrandt_featgen.cohort.classes import parse_counts
from rembrandt_featgen.cohort.patients import Cohort, Patient
from rembrandt_featgen.cohort.volumes import read_mask, read_volume
from rembrandt_featgen.core import cli, rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data import slicing
from rembrandt_featgen.data.store_writer import Writer
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
        0.1, "Share of each class's patients kept for the test.", minimum=0.01, maximum=0.9, source="paper 3.4"
    )
    test_counts: tuple[str, ...] = cli.flag(
        (), "Test patients of each class instead of a share, such as HGG:7,LGG:4 (the paper's).", source="paper 3.4"
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
    path = shared_flags.cohort_path(config.cohort, config.run_dir)
    cohort = layouts.find_cohort(path, config.layout, config.modalities, names=config.classes)
    shared_flags.check_two_classes(cohort.classes, config.cohort)
    assignment = _assignment(config, cohort)
    split = hashlib.sha256(repr(sorted(assignment.items())).encode()).hexdigest()
    digests = {"cohort": _digest(cohort), "split": split}
    with rundir.open_stage(config, "prepare_slices", digests=digests, classes=cohort.classes.record) as stage:
        if stage.done:
            return
        moments = slicing.Moments(len(config.modalities))
        pixels, tumour = 0, 0
        training = [patient for patient in cohort.patients if assignment[patient.id] == "train"]
        for patient in tqdm(training, "training patients' mean", unit="patient"):
            image, mask, _ = _load(patient, config)
            moments.add(image)
            pixels, tumour = pixels + mask.size, tumour + int(mask.sum())
        if not tumour:
            raise InputError(
                f"--cohort={config.cohort}: the masks of all training patients are empty, so that there is nothing to "
                "learn to segment; check the masks, above 0 in the tumour, or put patients with tumour into training"
            )
        mean, deviation = moments.mean(), moments.deviation()
        counts = _write_slices(config, cohort, assignment, folder=stage.path, mean=mean, deviation=deviation)
        split_files.write_split(stage.path / "split.json", assignment, cohort)
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
            parts = [
                f"{entry['patients'][name]} {name} patients ({entry['slices'][name]} slices)"
                for name in cohort.classes.names
            ]
            logging.info("slices of %s: %s", split, ", ".join(parts))


def _assignment(config: Config, cohort: Cohort) -> dict[str, str]:
    """Which patient is in which split, as drawn or as --split_file says."""
    if not config.split_file:
        assignment = splits.split_patients(
            cohort,
            validation_fraction=config.validation_fraction,
            test_fraction=config.test_fraction,
            seed=config.seed,
            test_counts=parse_counts(config.test_counts, "--test_counts"),
        )
        return _checked(assignment, cohort, f"--test_counts={','.join(config.test_counts)}")
    assignment = split_files.read_split(config.split_file)
    known = {patient.id for patient in cohort.patients}
    for names, where in ((known - set(assignment), "--cohort only"), (set(assignment) - known, "the split only")):
        if names:
            others = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
            raise InputError(
                f"--split_file={config.split_file}: patient {sorted(names)[0]}{others} is in {where}; give the split "
                "of this very cohort"
            )
    return _checked(assignment, cohort, f"--split_file={config.split_file}")


def _checked(assignment: dict[str, str], cohort: Cohort, flag: str) -> dict[str, str]:
    """The assignment; InputError where a split is empty or there is a class without training patients."""
    for split in splits.SPLITS:
        if split not in assignment.values():
            raise InputError(f"{flag} leaves no patient for {split}; put at least one there")
    trained = {patient.label for patient in cohort.patients if assignment[patient.id] == "train"}
    for name in cohort.classes.names:
        if name not in trained:
            raise InputError(f"{flag} leaves no {name} patient to train on; put at least one there")
    return assignment


def _load(patient: Patient, config: Config, compare: bool = False):
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


def _write_slices(
    config: Config,
    cohort: Cohort,
    assignment: Mapping[str, str],
    *,
    folder: Path,
    mean: np.ndarray,
    deviation: np.ndarray,
) -> dict:
    """Writes each split's shards; returns the counts that the report shows."""
    size, classes = config.image_size, cohort.classes
    tensors = {"image": ((size, size, len(config.modalities)), "float32"), "mask": ((size, size, 1), "uint8")}
    written: Counter[tuple[str, str]] = Counter()  # slices by split and class
    splitwise, empty, cut, fingerprints = {}, [], [], {}
    for split in splits.SPLITS:
        members, empty_masks = [patient for patient in cohort.patients if assignment[patient.id] == split], 0
        with Writer(folder, split, tensors) as writer:
            for patient in tqdm(members, f"slices of {split}", unit="patient"):
                images, masks, lost = _load(patient, config, compare=True)
                fingerprints[patient.id] = duplicates.fingerprint(np.moveaxis(images[..., 0], 0, 2))
                normalised = (images - mean) / np.where(deviation > 0, deviation, 1.0)
                for index, (image, mask) in enumerate(zip(normalised, masks)):
                    writer.write(
                        {"image": image, "mask": mask},
                        patient.id,
                        slice_index=index,
                        label=classes.label(patient.label),
                    )
                    empty_masks += int(not mask.any())
                written[split, patient.label] += len(images)
                if not masks.any():
                    empty.append(patient.id)
                if lost:
                    cut.append(f"{patient.id} ({lost} voxels)")
        splitwise[split] = {
            "patients": _by_class(cohort, Counter(patient.label for patient in members)),
            "slices": _by_class(cohort, {name: written[split, name] for name in classes.names}),
            "empty_masks": empty_masks,
        }
    _refuse_duplicates(fingerprints, assignment)
    if empty:
        logging.warning("%d patients have an empty mask, which is legal: %s", len(empty), ", ".join(empty))
    if cut:
        logging.warning("--image_size=%d cuts off tumour of %s", size, ", ".join(cut))
    total = {name: sum(written[split, name] for split in splits.SPLITS) for name in classes.names}
    return {
        "patients": _by_class(cohort, Counter(patient.label for patient in cohort.patients)),
        "slices": _by_class(cohort, total),
        "split": splitwise,
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


def _by_class(cohort: Cohort, counts: Mapping[str, int]) -> dict[str, int]:
    """Counts of each class, the positive one first, as tables show them."""
    return {name: counts.get(name, 0) for name in cohort.classes.positive_first}


def _digest(cohort: Cohort) -> str:
    """One digest of the content of all files of the cohort, and of its labels."""
    digest = hashlib.sha256()
    for patient in cohort.patients:
        digest.update(f"{patient.id} {patient.label}".encode())
        for path in [*patient.images.values(), patient.mask]:
            digest.update(hashlib.sha256(Path(path).read_bytes()).digest())
    return digest.hexdigest()


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, about=__doc__, known_elsewhere=stages.all_flags)


if __name__ == "__main__":
    main()
