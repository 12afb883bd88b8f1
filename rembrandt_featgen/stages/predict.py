"""Segments one NIfTI volume and gives the probability of the positive class, from exported SavedModels alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import logging
from tqdm import tqdm

from rembrandt_featgen.cohort.volumes import Volume, read_volume, write_like
from rembrandt_featgen.core import cli, folders, json_files
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data import slicing
from rembrandt_featgen.measures import classification


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the binary."""

    model_dir: str = cli.flag("", "Folder with the SavedModels: a run's export/.", required=True)
    image: tuple[str, ...] = cli.flag(
        (), "NIfTI volume; with several modalities one each, in the order of training.", required=True
    )
    mask: str = cli.flag(
        "",
        "Where the predicted mask is written, .nii or .nii.gz, in the geometry of --image; no such file may be there.",
        required=True,
    )
    result: str = cli.flag("", "Where the prediction is also written, as JSON.")
    overwrite: bool = cli.flag(False, "Whether --mask and --result may replace a file; never one of --image.")
    predict_batch: int = cli.flag(8, "Slices in a batch.", minimum=1)


def run(config: Config) -> dict:
    """Writes the mask, prints the prediction, and returns it."""
    if not config.mask.endswith((".nii", ".nii.gz")):
        raise InputError(f"--mask={config.mask} must end in .nii or .nii.gz")
    _check_outputs(config)
    segment = _signature(config.model_dir, "unet", "segment")
    classify = _signature(config.model_dir, "classifier", "classify")
    volumes = _volumes(config, segment.structured_input_signature[1]["image"].shape[-1])
    # [x, y, slices] of each modality -> [slices, height, width, channels]
    slices = np.moveaxis(slicing.as_displayed(np.stack([volume.voxels for volume in volumes], -1)), 2, 0)
    masks, probabilities = [], []
    names: list[str] = []
    for start in tqdm(range(0, len(slices), config.predict_batch), "predict", unit="batch"):
        segmented = segment(image=tf.constant(slices[start : start + config.predict_batch]))
        scores = classify(feature=segmented["feature"])
        masks.append(segmented["mask"].numpy()[..., 0])
        probabilities.append(scores["probability"].numpy())
        names = [name.decode() for name in scores["classes"].numpy()]
    mask = slicing.as_stored(np.moveaxis(np.concatenate(masks), 0, 2))
    write_like(config.mask, mask, volumes[0])
    per_slice = np.concatenate(probabilities)  # [slices, classes]
    of_patient = _of_patient(per_slice)
    result = {
        "image": list(config.image),
        "mask": config.mask,
        "label": names[int(np.argmax(of_patient))],
        "probability": dict(zip(names, of_patient.tolist())),
        "tumour_voxels": int(mask.sum()),
        "probability_by_slice": {name: per_slice[:, label].tolist() for label, name in enumerate(names)},
    }
    if config.result:
        json_files.write_json(Path(config.result), result)
    logging.info("mask: %s (%d voxels of tumour)", config.mask, result["tumour_voxels"])
    shown = ", ".join(f"{name} {probability:.3f}" for name, probability in zip(names, of_patient))
    print(f"{result['label']}: probabilities {shown} (mean log-odds of {len(per_slice)} slices)")
    return result


def _of_patient(per_slice: np.ndarray) -> np.ndarray:
    """Probability of each class for a patient, from those of the slices, [slices, classes]: by their mean log-odds."""
    one = np.zeros(len(per_slice))
    each = np.array([classification.by_patient(one, one, column)[2][0] for column in per_slice.T])
    return each / each.sum()


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
    taken = {Path(image).resolve() for image in config.image}
    for flag, path in (("--mask", config.mask), ("--result", config.result)):
        if not path:
            continue
        place = Path(path).resolve()
        folders.make_folder(place.parent, flag)
        if place in taken:
            raise InputError(f"{flag}={path} is also --image or --mask, and would be overwritten; name another file")
        if place.exists() and not config.overwrite:
            raise InputError(f"{flag}={path} is there already; name another file, or give --overwrite to replace it")
        taken.add(place)


def _signature(folder: str, name: str, signature: str):
    """A signature of an exported model, such as the classifier's `classify`."""
    path = Path(folder) / name
    if not (path / "saved_model.pb").is_file():
        raise InputError(
            f"--model_dir={folder}: there is no SavedModel in {path}; give the export/ folder of a finished run"
        )
    try:
        model = tf.saved_model.load(str(path))
    except Exception as error:  # what a damaged SavedModel raises depends on where it is damaged
        raise InputError(
            f"--model_dir={folder}: {path} cannot be loaded ({type(error).__name__}); export it again"
        ) from error
    if signature not in model.signatures:
        raise InputError(
            f"--model_dir={folder}: the SavedModel in {path} has no signature {signature}; give the export/ folder of "
            "a finished run"
        )
    function = model.signatures[signature]
    if signature == "classify" and "classes" not in function.structured_outputs:
        raise InputError(
            f"--model_dir={folder}: these models were exported by version 0.1 of this program, whose signatures had "
            "other names; export them anew by repeating their run with this version: python -m "
            "rembrandt_featgen.stages.pipeline with its flags and another --run_dir"
        )
    function.keeps_alive = model  # its variables go with it
    return function


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, about=__doc__)


if __name__ == "__main__":
    main()
