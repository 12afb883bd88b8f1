"""Reads a cohort of volumes, splits it by patient, and writes its slices, or takes those that a study shares.

--cohort is a public data set as it is downloaded (rembrandt_featgen/cohort/README.md lists them), or a CSV manifest
with the columns patient, label, mask and one for each modality (flair, ...), maybe group, site and others.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from absl import logging

from rembrandt_featgen import stages
from rembrandt_featgen.cohort import (
    duplicates,
    fresh_patients,
    patient_files,
    spacing,
    split_files,
    splits,
    visit_names,
)
from rembrandt_featgen.cohort.classes import parse_counts
from rembrandt_featgen.cohort.patients import Cohort, Patient
from rembrandt_featgen.cohort.spacing import Judgement
from rembrandt_featgen.core import cli, rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data import familiarity, shared_slices, slice_writing, volume_warnings
from rembrandt_featgen.data.preparation import Preparation
from rembrandt_featgen.data.preparation_choice import (
    Request,
    choose_preparation,
    contents,
    log_choice,
    with_moments,
)
from rembrandt_featgen.data.shared_slices import SharedSlices
from rembrandt_featgen.data.volume_measures import Measured, normalised_description, read_measured
from rembrandt_featgen.nn import tensorboard
from rembrandt_featgen.stages import pseudonym_flags, shared_flags, slice_flags

_STORE = "volumes"  # of all slices, which the splits refer to


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the stage."""

    run_dir: str = shared_flags.run_dir()
    cohort: str = shared_flags.cohort()
    layout: str = shared_flags.layout()
    classes: tuple[str, ...] = shared_flags.classes()
    modalities: tuple[str, ...] = shared_flags.modalities()
    labels_table: str = shared_flags.labels_table()
    label_column: str = shared_flags.label_column()
    patient_column: str = shared_flags.patient_column()
    group_column: str = shared_flags.group_column()
    group_pattern: str = shared_flags.group_pattern()
    site_column: str = shared_flags.site_column()
    site_pattern: str = shared_flags.site_pattern()
    incomplete: str = shared_flags.incomplete()
    pseudonymise: bool = pseudonym_flags.pseudonymise()
    pseudonym_key: str = pseudonym_flags.pseudonym_key()
    covariates: tuple[str, ...] = shared_flags.covariates()
    image_size: int = slice_flags.image_size()
    normalise: str = slice_flags.normalise()
    crop: str = slice_flags.crop()
    fit: str = slice_flags.fit()
    slices_in: int = slice_flags.slices_in()
    geometry: str = slice_flags.geometry()
    slice_axis: str = slice_flags.slice_axis()
    spacing: tuple[str, ...] = slice_flags.spacing()
    trust_spacing: str = slice_flags.trust_spacing()
    test_fraction: float = shared_flags.test_fraction()
    test_counts: tuple[str, ...] = cli.flag(
        (), "Test patients of each class instead of a share, such as HGG:7,LGG:4 (the paper's).", source="paper 3.4"
    )
    validation_fraction: float = shared_flags.validation_fraction()
    split_file: str = cli.flag(
        "",
        "A split.json that says which patient is in which split, such as another run's; replaces the shares above.",
        path=True,
    )
    slices_from: str = cli.flag(
        "",
        "Folder of a study of the same cohort, whose shared slices are taken instead of reading all volumes again.",
        path=True,
    )
    look_alikes: str = cli.flag(
        duplicates.REFUSE,
        "Whether to stop where volumes of two groups look alike, as of a patient under two names, or to log it.",
        choices=duplicates.CHOICES,
    )
    seed: int = shared_flags.seed()


def run(config: Config) -> None:
    """Writes run_dir/slices: slices and true masks of each split, split.json, and the preparation in stage.json."""
    slice_flags.check(config.image_size, config.slices_in)
    request = slice_flags.request(config, normalise=config.normalise, slices_in=config.slices_in)
    cohort = shared_flags.find_cohort(config)
    fresh = shared_flags.fresh_patients(config)
    assignment = assignment_of(config, cohort, fresh)
    split = hashlib.sha256(repr(sorted(assignment.items())).encode()).hexdigest()
    shared = shared_slices.find_shared(config.slices_from, cohort, request) if config.slices_from else None
    known = repr([(one.group, one.site, sorted(one.covariates.items())) for one in cohort.patients])
    digests = {
        "cohort": shared.cohort if shared else shared_slices.content_digest(cohort),
        "patients": hashlib.sha256(known.encode()).hexdigest(),
        "split": split,
    }
    with rundir.open_stage(config, "prepare_slices", digests=digests, classes=cohort.classes.record) as stage:
        if stage.done:
            return
        members = {
            name: [patient for patient in cohort.patients if assignment[patient.id] == name] for name in splits.SPLITS
        }
        store, preparation = _stored(cohort, request, members["train"], shared=shared, folder=stage.path)
        measured = read_measured(*store)
        trained = [measured[patient.id] for patient in members["train"]]
        if not any(one.tumour for one in trained):
            raise InputError(
                f"--cohort={config.cohort}: the masks of all training patients are empty, so that there is nothing to "
                "learn to segment; check the masks, above 0 in the tumour, or put patients with tumour into training"
            )
        for name in ("validation", "test"):
            if members[name] and not any(measured[patient.id].tumour for patient in members[name]):
                logging.warning(
                    "the masks of all %s patients are empty: its dice says only whether nothing is predicted in them; "
                    "check the masks of --cohort",
                    name,
                )
        fingerprints = {patient: one.fingerprint for patient, one in measured.items()}
        duplicates.check(fingerprints, cohort.patients, assignment, allowed=config.look_alikes == duplicates.ALLOW)
        preparation = with_moments(preparation, [one.part for one in trained])
        for name in splits.SPLITS:
            slice_writing.write_split(stage.path, name, members[name], store=store, preparation=preparation)
        split_files.write_split(stage.path / "split.json", assignment, cohort)
        patient_files.write_patients(stage.path, cohort.patients, config.covariates)
        judgement = _judged(config, trained)
        counts = slice_writing.counts(cohort, members, measured)
        flags = f"--image_size={config.image_size} --crop={config.crop} --fit={config.fit}"
        warnings = volume_warnings.sentences(measured, flags)
        tensorboard.complete(
            stage,
            source=str(config.cohort),
            fresh_patients=len(fresh),
            preparation=dataclasses.asdict(preparation),
            image_size=preparation.size,
            channels=channel_names(config.modalities, config.slices_in),
            mean=preparation.mean,
            deviation=preparation.deviation,
            tumour_prior=sum(one.tumour for one in trained) / sum(one.pixels for one in trained),
            modalities=config.modalities,
            spacing=judgement._asdict(),
            reading=dataclasses.asdict(request.reading),
            warnings=warnings,
            volumes={patient: one.record for patient, one in measured.items()},
            familiarity=familiarity.familiarity(
                [normalised_description(one, preparation) for one in trained],
                shapes=[one.shape for one in trained],
                spacings=[one.spacing for one in trained],
            ),
            **counts,
        )
        _report(members, measured, empty=counts["empty_mask_patients"], warnings=warnings)


def are_shared(config: Config) -> bool:
    """Whether the study in --slices_from has slices of the preparation that the training patients ask for.

    Raises:
      InputError: it has slices of other patients or classes, or of other settings.
    """
    if not config.slices_from or not rundir.is_done(config.slices_from, "share_slices"):
        return False
    cohort, request = (
        shared_flags.find_cohort(config),
        slice_flags.request(config, normalise=config.normalise, slices_in=config.slices_in),
    )
    assignment = assignment_of(config, cohort, shared_flags.fresh_patients(config))
    training = [patient for patient, split in assignment.items() if split == "train"]
    shared = shared_slices.find_shared(config.slices_from, cohort, request)
    return shared.has(choose_preparation(request, shared.contents, training))


def channel_names(modalities: Sequence[str], slices_in: int) -> list[str]:
    """Names of the network's input channels: the modalities, then those of the slices below and above."""
    neighbours = ("", "@below", "@above")[:slices_in]
    return [f"{modality}{where}" for where in neighbours for modality in modalities]


def _stored(
    cohort: Cohort, request: Request, training: Sequence[Patient], *, shared: SharedSlices | None, folder: Path
) -> tuple[tuple[Path, str], Preparation]:
    """Folder and name of the store of all slices, written here unless it is shared, and the preparation so far."""
    found = shared.contents if shared else contents(training, request)
    names = [patient.id for patient in training]
    preparation = choose_preparation(request, found, names)
    log_choice(preparation, request=request, found=found, training=names)
    if shared:
        return (shared.folder, shared.store_of(preparation)), preparation
    slice_writing.write_volumes(
        folder,
        _STORE,
        cohort,
        modalities=request.modalities,
        preparation=preparation,
        reading=request.reading,
    )
    return (folder, _STORE), preparation


def assignment_of(config: Config, cohort: Cohort, fresh: Collection[str] = ()) -> dict[str, str]:
    """Which patient is in which split, as drawn or as --split_file says; `fresh` are there for tests alone."""
    if config.split_file:
        return _checked(
            split_files.read_split_of(config.split_file, cohort),
            cohort,
            f"--split_file={config.split_file}",
            # fit_final_model asks for no test patients by a share of 0, which no flag can
            needed=splits.SPLITS if config.test_fraction else ("train", "validation"),
        )
    if fresh:
        if config.test_counts:
            raise InputError(
                f"--test_counts={','.join(config.test_counts)} with --phantom_test_counts, whose fresh patients are "
                "the test; leave one of the two out"
            )
        assignment = fresh_patients.split(
            cohort, fresh, validation_fraction=config.validation_fraction, seed=config.seed
        )
        return _checked(assignment, cohort, f"--validation_fraction={config.validation_fraction:g}")
    assignment = splits.split_patients(
        cohort,
        validation_fraction=config.validation_fraction,
        test_fraction=config.test_fraction,
        seed=config.seed,
        test_counts=parse_counts(config.test_counts, "--test_counts"),
    )
    return _checked(assignment, cohort, f"--test_counts={','.join(config.test_counts)}")


def _checked(
    assignment: dict[str, str], cohort: Cohort, flag: str, *, needed: Sequence[str] = splits.SPLITS
) -> dict[str, str]:
    """The assignment; InputError where a needed split is empty or there is a class without training patients."""
    for split in needed:
        if split not in assignment.values():
            raise InputError(f"{flag} leaves no patient for {split}; put at least one there")
    trained = {patient.label for patient in cohort.patients if assignment[patient.id] == "train"}
    for name in cohort.classes.names:
        if name not in trained:
            raise InputError(f"{flag} leaves no {name} patient to train on; put at least one there")
    return assignment


def _judged(config: Config, trained: Sequence[Measured]) -> Judgement:
    """Whether the spacing of the training volumes is real; InputError where they are resampled and it is not."""
    judgement = spacing.judge(
        [one.file_spacing for one in trained], [one.file_shape for one in trained], config.trust_spacing
    )
    logging.info("spacing is %s: %s", "real" if judgement.real else "unknown", judgement.why)
    spacing.check_resampling(config.spacing, judgement)
    return judgement


def _report(
    members: Mapping[str, Sequence[Patient]],
    measured: Mapping[str, Measured],
    *,
    empty: Sequence[str],
    warnings: Sequence[str],
) -> None:
    """Says what was written, and what may be wrong with it."""
    if empty:
        who = "1 patient has" if len(empty) == 1 else f"{len(empty)} patients have"
        logging.warning("%s an empty mask, which is legal: %s", who, ", ".join(empty))
    lost = [patient for patient, one in measured.items() if one.has_tumour and not one.tumour]
    if lost:
        logging.warning("no slice of %s shows their tumour any more: it is cut off or too small", ", ".join(lost))
    for sentence in warnings:
        logging.warning("%s", sentence)
    for split, patients in members.items():
        slices = sum(measured[patient.id].slices for patient in patients)
        who = visit_names.counted({patient.id: patient.group for patient in patients})
        logging.info("%s: %s, %d slices", split, who, slices)


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, about=__doc__, known_elsewhere=stages.all_flags)


if __name__ == "__main__":
    main()
