"""Gives the probability of each class from exported SavedModels alone: of a new patient's volume, with its mask, or of
each sample and patient of a table of features."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import logging
from tqdm import tqdm

from rembrandt_featgen.cohort import spacing
from rembrandt_featgen.cohort.volumes import Volume, read_volume, write_like
from rembrandt_featgen.core import cli, folders, json_files
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data import familiarity, patient_volumes, slicing
from rembrandt_featgen.evaluation import model_folder, new_patients, predictions
from rembrandt_featgen.features import model_columns
from rembrandt_featgen.measures import classification, decisions
from rembrandt_featgen.nn import saved_models
from rembrandt_featgen.segmentation import postprocessing

_LEAST_KEPT = 0.97  # of what is not background; less is warned of


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the binary."""

    model_dir: str = cli.flag("", "Folder with the SavedModels: a run's export/, or final/ of a study.", required=True)
    image: tuple[str, ...] = cli.flag(
        (), "NIfTI volume; with several modalities one each, in the order of training. Or give --features."
    )
    mask: str = cli.flag(
        "",
        "Where the predicted mask is written, .nii or .nii.gz, in the geometry of --image; no such file may be there.",
    )
    features: str = cli.flag(
        "",
        "Features of new patients, for the final model of a study of features: a .csv, .parquet or .npz file with the "
        "columns of the study in any order. A label is not needed; without patients, each row is one.",
    )
    result: str = cli.flag("", "Where the prediction is also written, as JSON; of --features, as CSV.")
    overwrite: bool = cli.flag(False, "Whether --mask and --result may replace a file; never one of --image.")
    predict_batch: int = cli.flag(8, "Slices in a batch.", minimum=1)


def run(config: Config) -> dict:
    """Writes the mask, prints the prediction, and returns it."""
    if bool(config.features) == bool(config.image):
        raise InputError("give --image and --mask for the volume of a patient, or else --features for a table")
    if config.features:
        return _predict_table(config)
    if not config.mask.endswith((".nii", ".nii.gz")):
        raise InputError(f"--mask={config.mask} must end in .nii or .nii.gz")
    _check_outputs(config)
    prepare, run_unet, restore = saved_models.signatures_of(
        config.model_dir, "unet", ("prepare", "segment_slices", "restore")
    )
    (classify,) = saved_models.signatures_of(config.model_dir, "classifier", ("classify",))
    volumes = _volumes(config, prepare.structured_input_signature[1]["image"].shape[-1])
    segmented = segment(
        volumes,
        prepare=prepare,
        segment_slices=run_unet,
        restore=restore,
        classify=classify,
        batch=config.predict_batch,
    )
    warnings = segmented.warnings
    for warning in warnings:
        logging.warning("%s: %s", config.image[0], warning)
    stored = slicing.as_stored(np.moveaxis(segmented.mask, 0, 2)).astype(np.uint8)
    write_like(config.mask, stored, volumes[0])
    of_patient = _of_patient(segmented.per_slice)
    label = segmented.classes[int(decisions.decide(of_patient, segmented.thresholds))]
    voxels, by_class = int(stored.sum()), dict(zip(segmented.classes, of_patient.tolist()))
    result: dict = {
        "image": list(config.image),
        "mask": config.mask,
        "label": label,
        "probability": by_class,
        "tumour_voxels": voxels,
        "tumour_ml": None,
        "warnings": warnings,
        "probability_by_slice": {
            name: segmented.per_slice[:, label].tolist() for label, name in enumerate(segmented.classes)
        },
    }
    size = f"{voxels} voxels"
    mm = spacing.of_affine(volumes[0].affine)
    if segmented.spacing_is_real or spacing.judge([mm], [volumes[0].voxels.shape]).real:
        result["tumour_ml"] = voxels * float(np.prod(mm)) / 1000.0
        size += f", {result['tumour_ml']:.1f} ml"
    if config.result:
        json_files.write_json(Path(config.result), result)
    logging.info("mask: %s (%s of tumour)", config.mask, size)
    shown = ", ".join(f"{name} {probability:.3f}" for name, probability in by_class.items())
    pooled = "mean log-odds" if len(of_patient) == 2 else "geometric mean"
    print(f"{label}: probabilities {shown} ({pooled} of {len(segmented.per_slice)} slices)")
    return result


@dataclasses.dataclass(frozen=True, eq=False)
class Segmented:
    """What the models make of a volume.

    Attributes:
      mask: [slices, height, width] bool, as displayed.
      per_slice: [slices, classes] probabilities.
      classes: their names.
      thresholds: [classes] by which is decided, see `decisions.decide`.
      warnings: in which ways the volume is unlike those.
      spacing_is_real: whether that of the training volumes is, and the volume's is like it.
    """

    mask: np.ndarray
    per_slice: np.ndarray
    classes: list[str]
    thresholds: np.ndarray
    warnings: list[str]
    spacing_is_real: bool


def segment(volumes: Sequence[Volume], *, prepare, segment_slices, restore, classify, batch: int) -> Segmented:
    """Segments and classifies a volume by the signatures of the exported models.

    Args:
      volumes: one for each channel.
      prepare, segment_slices, restore: of the U-Net, see `unet_export.segmenter`.
      classify: of the classifier.
      batch: slices that are computed at a time.
    """
    image = tf.constant(patient_volumes.stacked(volumes))
    prepared = prepare(image=image)
    settings = json.loads(prepared["settings"].numpy())
    slices, probabilities, per_slice = prepared["slices"], [], []
    names: list[str] = []
    thresholds = np.zeros(0)
    for start in tqdm(range(0, len(slices), batch), "predict", unit="batch"):
        segmented = segment_slices(slices=slices[start : start + batch])
        scores = classify(feature=segmented["feature"])
        probabilities.append(segmented["probability"])
        per_slice.append(scores["probability"].numpy())
        names = [name.decode() for name in scores["classes"].numpy()]
        thresholds = scores["thresholds"].numpy()
    geometry = {name: prepared[name] for name in ("full", "box", "scaled")}
    probability = restore(probability=tf.concat(probabilities, 0), **geometry)["probability"].numpy()[..., 0]
    warnings = []
    kept, real = settings.get("familiarity"), settings.get("spacing", {}).get("real", False)
    if kept:
        mm, shape = patient_volumes.spacing_of(volumes[0]), tuple(image.shape[:3])
        description = prepared["description"].numpy()
        reasons = familiarity.unlike(kept, description, shape=shape, spacing=mm if real else None)
        real = real and not familiarity.unlike_spacing(kept, mm)
        warnings += [f"unlike the training volumes: {reason}" for reason in reasons]
    if float(prepared["kept"]) < _LEAST_KEPT:
        warnings.append(
            f"{1.0 - float(prepared['kept']):.0%} of what is not background lies outside the part that the model looks "
            "at; tumour there is not found: crop the volume around the head or body first"
        )
    return Segmented(
        mask=postprocessing.mask_of(probability, settings.get("largest_component", False)),
        per_slice=np.concatenate(per_slice),
        classes=names,
        thresholds=thresholds,
        warnings=warnings,
        spacing_is_real=real,
    )


def _predict_table(config: Config) -> dict:
    """Prints the class of each patient of --features; --result gets a row for each sample, then for each patient."""
    if config.mask:
        raise InputError(f"--mask={config.mask} is for --image; a table has no mask: leave it out")
    _check_outputs(config)
    model = model_folder.read(config.model_dir)
    table = model_columns.read_samples(
        config.features, model.columns, model.classes, keys=model.record["keys"], labelled=False, flag="--features"
    )
    rows = new_patients.rows(model, table)
    if config.result:
        rows.to_csv(config.result, index=False)
    of_patients = rows[rows["unit"] == "patient"]
    for row in of_patients.to_dict("records"):
        shown = ", ".join(f"{name} {row[predictions.PROBABILITY + name]:.3f}" for name in model.classes.names)
        print(f"{row['patient']}: {row['class']}: probabilities {shown}")
    return {"rows": rows.to_dict("records")}


def _of_patient(per_slice: np.ndarray) -> np.ndarray:
    """Probability of each class for a patient, from those of the slices, [slices, classes]: by their geometric mean."""
    one = np.zeros(len(per_slice), int)
    return classification.by_patient(one, one, per_slice)[2][0]


def _volumes(config: Config, channels: int) -> list[Volume]:
    """Reads --image; InputError where these are not `channels` volumes on one grid."""
    if len(config.image) != channels:
        raise InputError(
            f"--image={','.join(config.image)}: {len(config.image)} volumes given, the model takes {channels} "
            "(one for each modality of its training, separated by commas)"
        )
    volumes = [read_volume(path, "--image") for path in config.image]
    for path, volume in zip(config.image, volumes):
        if volume.voxels.shape != volumes[0].voxels.shape:
            raise InputError(
                f"--image: {path} has shape {volume.voxels.shape}, {config.image[0]} has {volumes[0].voxels.shape}; "
                "give volumes of one patient on one grid"
            )
    return volumes


def _check_outputs(config: Config) -> None:
    """Makes the folders of what is written, before the work; InputError where that cannot be or would cost a file."""
    taken = {Path(read).resolve() for read in (*config.image, config.features) if read}
    for flag, path in (("--mask", config.mask), ("--result", config.result)):
        if not path:
            continue
        place = Path(path).resolve()
        folders.make_folder(place.parent, flag)
        if place in taken:
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
