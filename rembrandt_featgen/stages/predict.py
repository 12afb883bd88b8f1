"""Gives the probability of each class from exported SavedModels alone: of a new patient's volume, with its mask, or of
each sample and patient of a table of features."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import logging

from rembrandt_featgen.cohort import spacing
from rembrandt_featgen.cohort.volumes import Volume, read_volumes, write_like
from rembrandt_featgen.core import cli, folders, json_files
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data import patient_volumes, slicing
from rembrandt_featgen.evaluation import model_folder, new_patients, predictions
from rembrandt_featgen.evaluation.model_folder import FinalModel
from rembrandt_featgen.features import model_columns, volume_vectors
from rembrandt_featgen.measures import classification, decisions
from rembrandt_featgen.nn import devices, saved_models
from rembrandt_featgen.segmentation import exported_unet
from rembrandt_featgen.segmentation.exported_unet import ExportedUnet, SegmentedVolume
from rembrandt_featgen.stages import shared_flags, slice_flags


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the binary."""

    model_dir: str = cli.flag(
        "", "Folder with the SavedModels: a run's export/, or final/ of a study.", required=True, path=True
    )
    image: tuple[str, ...] = cli.flag(
        (),
        "Volume in any format that is read, such as NIfTI, or a folder with one DICOM series; with several modalities "
        "one each, in the order of training. Or give --features.",
        path=True,
    )
    mask: str = cli.flag(
        "",
        "Where the predicted mask is written, .nii or .nii.gz, in the geometry of --image; no such file may be there.",
        path=True,
    )
    features: str = cli.flag(
        "",
        "Features of new patients, for the final model of a study of features: a .csv, .parquet or .npz file with the "
        "columns of the study in any order. A label is not needed; without patients, each row is one.",
        path=True,
    )
    result: str = cli.flag("", "Where the prediction is also written, as JSON; of --features, as CSV.", path=True)
    overwrite: bool = cli.flag(False, "Whether --mask and --result may replace a file; never one of --image.")
    geometry: str = slice_flags.new_geometry()
    predict_batch: int = cli.flag(8, "Slices in a batch.", minimum=1)
    device: str = shared_flags.device()


def run(config: Config) -> dict:
    """Writes the mask, prints the prediction, and returns it."""
    devices.use(config.device)
    if bool(config.features) == bool(config.image):
        raise InputError("give --image and --mask for the volume of a patient, or else --features for a table")
    if config.features:
        return _predict_table(config)
    if not config.mask:
        raise InputError("--mask is missing: name the file to write the predicted mask to, such as --mask=mask.nii.gz")
    if not config.mask.endswith((".nii", ".nii.gz")):
        raise InputError(f"--mask={config.mask} must end in .nii or .nii.gz")
    _check_outputs(config)
    final = model_folder.read(config.model_dir) if model_folder.is_there(config.model_dir) else None
    settings = final.vectors(config.predict_batch) if final and final.modalities and not final.of_maps else None
    unet = exported_unet.load(config.model_dir)
    volumes = _volumes(config, unet)
    if final and settings:
        found = _by_vector(final, unet, volumes, settings=settings)
    else:
        found = _by_slices(config, unet, volumes)
    segmented, of_patient = found.segmented, found.probability
    warnings, missed = segmented.warnings, ""
    if found.rests_on:
        missed = f"no tumour was found; the class rests on {found.rests_on}"
        warnings.append(missed)
    for warning in warnings:
        logging.warning("%s: %s", config.image[0], warning)
    stored = slicing.as_stored(np.moveaxis(segmented.mask, 0, 2)).astype(np.uint8)
    on_file = write_like(config.mask, stored, volumes[0])
    label = found.classes[int(decisions.decide(of_patient, found.thresholds))]
    voxels, by_class = int(on_file.sum()), dict(zip(found.classes, of_patient.tolist()))
    result: dict = {
        "image": list(config.image),
        "mask": config.mask,
        "label": label,
        "probability": by_class,
        "thresholds": dict(zip(found.classes, found.thresholds.tolist())),
        "tumour_voxels": voxels,
        "tumour_ml": None,
        "warnings": warnings,
    }
    if found.per_slice is not None:
        result["probability_by_slice"] = dict(zip(found.classes, found.per_slice.T.tolist()))
    size = f"{voxels} voxels"
    mm, shape = patient_volumes.file_geometry(volumes[0])
    if segmented.spacing_is_real or spacing.judge([mm], [shape]).real:
        result["tumour_ml"] = voxels * float(np.prod(mm)) / 1000.0
        size += f", {result['tumour_ml']:.1f} ml"
    if config.result:
        json_files.write_json(Path(config.result), result)
    logging.info("mask: %s (%s of tumour)", config.mask, size)
    shown = ", ".join(f"{name} {probability:.3f}" for name, probability in by_class.items())
    how = f"{found.how}; {_decided_by(found.classes, found.thresholds)}"
    print(f"{label}: probabilities {shown} ({how})" + (f"; {missed}" if missed else ""))
    return result


def _predict_table(config: Config) -> dict:
    """Prints the class of each patient of --features; --result gets a row for each sample, then for each patient."""
    if config.mask:
        raise InputError(f"--mask={config.mask} is for --image; a table has no mask: leave it out")
    _check_outputs(config)
    model = model_folder.read(config.model_dir)
    if model.of_maps:
        raise InputError(
            f"--features={config.features}: the model of --model_dir is of volumes ({', '.join(model.modalities)}); "
            "give --image and --mask instead"
        )
    keys = model.record.get("keys")
    try:
        table = model_columns.read_samples(
            config.features, model.columns, model.classes, keys=keys, labelled=False, flag="--features"
        )
    except InputError as error:
        if model.of_volumes:
            raise InputError(f"{error}, or, as the model is of volumes, give --image and --mask instead") from error
        raise
    by = _decided_by(model.classes.names, model.thresholds)
    rows = new_patients.rows(model, table)
    if config.result:
        with folders.whole(Path(config.result)) as temporary:
            rows.to_csv(temporary, index=False)
    of_patients = rows[rows["unit"] == "patient"]
    for row in of_patients.to_dict("records"):
        shown = ", ".join(f"{name} {row[predictions.PROBABILITY + name]:.3f}" for name in model.classes.names)
        print(f"{row['patient']}: {row['class']}: probabilities {shown} ({by})")
    return {"rows": rows.to_dict("records")}


def _decided_by(names: Sequence[str], thresholds: np.ndarray) -> str:
    """By which thresholds a class is decided for: of two that of the positive one, which comes last."""
    if len(names) == 2:
        return f"threshold of {names[1]} {thresholds[1]:.3f}"
    return "thresholds " + ", ".join(f"{name} {threshold:.3f}" for name, threshold in zip(names, thresholds))


class _Prediction(NamedTuple):
    """Of a patient: the volume, classes with probabilities and thresholds, and of what these are."""

    segmented: SegmentedVolume
    classes: Sequence[str]
    probability: np.ndarray
    thresholds: np.ndarray
    how: str
    rests_on: str = ""  # what the class rests on where no tumour is found, else nothing
    per_slice: np.ndarray | None = None


def _by_slices(config: Config, unet: ExportedUnet, volumes: Sequence[Volume]) -> _Prediction:
    """By the classifier of a run, or the final model of a study, that sees slices."""
    (classify,) = saved_models.signatures_of(config.model_dir, "classifier", ("classify",))
    segmented = exported_unet.segment(
        unet, volumes, batch=config.predict_batch, each=lambda outputs: classify(feature=outputs["feature"])
    )
    scores = segmented.gathered
    per_slice = np.concatenate([one["probability"].numpy() for one in scores])
    one = np.zeros(len(per_slice), int)
    pooled = "mean log-odds" if per_slice.shape[1] == 2 else "geometric mean"
    return _Prediction(
        segmented,
        classes=[name.decode() for name in scores[0]["classes"].numpy()],
        probability=classification.by_patient(one, one, per_slice)[2][0],
        thresholds=scores[0]["thresholds"].numpy(),
        how=f"{pooled} of {len(per_slice)} slices",
        rests_on="" if segmented.mask.any() else "features of slices without one",
        per_slice=per_slice,
    )


def _by_vector(model: FinalModel, unet: ExportedUnet, volumes: Sequence[Volume], *, settings) -> _Prediction:
    """By the final model of a study, which sees the patient's vector."""
    vector = volume_vectors.vector_of(unet, volumes, settings)
    small = "" if vector.segmented.mask.any() else "one that is too small for the volume's own grid"
    return _Prediction(
        vector.segmented,
        classes=model.classes.names,
        probability=model.probabilities(model.values_of(vector.numbers))[0],
        thresholds=model.thresholds,
        how="of the vector of the predicted tumour",
        rests_on="missing values" if vector.empty else small,
    )


def _volumes(config: Config, unet: ExportedUnet) -> list[Volume]:
    """Reads --image as training volumes were read; InputError where there are not as many as the model takes."""
    if len(config.image) != unet.channels:
        raise InputError(
            f"--image={','.join(config.image)}: {len(config.image)} volumes given, the model takes {unet.channels} "
            "(one for each modality of its training, separated by commas)"
        )
    return read_volumes(config.image, "--image", unet.reading.for_new(config.geometry))


def _check_outputs(config: Config) -> None:
    """Makes the folders of what is written, before the work; InputError where that cannot be or would cost a file."""
    taken = {Path(read).resolve() for read in (*config.image, config.features) if read}
    for flag, path in (("--mask", config.mask), ("--result", config.result)):
        if not path:
            continue
        place = Path(path).resolve()
        folders.make_folder(place.parent, flag)
        # Where names differ in case alone they may be of one file, as on macOS.
        if place in taken or place.exists() and any(one.exists() and one.samefile(place) for one in taken):
            raise InputError(
                f"{flag}={path} is also --image, --features or --mask, and would be overwritten; name another file"
            )
        if place.exists() and not config.overwrite:
            raise InputError(f"{flag}={path} is there already; name another file, or give --overwrite to replace it")
        taken.add(place)


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, about=__doc__)


if __name__ == "__main__":
    main()
