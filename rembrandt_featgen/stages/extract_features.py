"""Runs the trained U-Net up to one block and stores that block's features of all slices.

With --features_from=slices nothing is stored: the stages that follow compute the features again whenever they need
them.

Where the U-Net was trained with --cross_fit, features (and crops) of training patients come from the U-Nets that never
saw them, mapped onto the channels of the one that saw all (features/cross_fitting.py). Features of the arm
image_augmentation come from the latter.

With --tap=crop_cnn (the paper's future work) the features are not the U-Net's: each slice is cropped around the tumour
that the U-Net predicts, and a small CNN, trained on the training patients' classes, computes them. Note:

- The CNN has memorised its training patients' classes. So that generator and classifier do not learn from that, the
  features of each training patient come from a CNN that never saw it (--crop_folds). With 0 folds, the classifier
  trains on features that separate the classes better than those of any other patient will.
- Features of the arm image_augmentation, and of slices by an image_acgan, come from the CNN that saw all training
  patients: for that arm, training is easier than the test.
- The validation patients choose the CNN's epoch, and later amounts and thresholds, too: what they say is a little too
  good. Test patients choose nothing.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import logging
from tqdm import tqdm

from rembrandt_featgen import stages
from rembrandt_featgen.cohort import patient_files, splits
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core import cli, json_files, rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data import pipelines, store_format, store_parts, store_writer
from rembrandt_featgen.data.store import Store
from rembrandt_featgen.data.store_writer import Writer
from rembrandt_featgen.features import crop_cnn, crops, cross_fitting, part_features
from rembrandt_featgen.features.reading import ENCODER
from rembrandt_featgen.nn import distribution, inference, sharding, tensorboard, worker_stages
from rembrandt_featgen.segmentation import unet_export, unet_parts
from rembrandt_featgen.segmentation.unet import TAPS
from rembrandt_featgen.stages import shared_flags

Segmenter = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the stage."""

    run_dir: str = shared_flags.run_dir()
    precision: str = shared_flags.precision()
    device: str = shared_flags.device()
    tf32: bool = shared_flags.tf32()
    jit: bool = shared_flags.jit()
    deterministic: bool = shared_flags.deterministic()
    strategy: str = shared_flags.strategy()
    seed: int = shared_flags.seed()
    tap: str = cli.flag(
        "conv5",
        f"Block whose features are taken: one of {', '.join(TAPS)}; or {crops.TAP}, features of a CNN that "
        "learns the class from crops around the predicted tumour.",
        source="paper 4.1",
    )
    crop_size: int = cli.flag(
        96, f"With --tap={crops.TAP}: pixels along each side of a crop; a multiple of 16.", minimum=16
    )
    crop_filters: int = cli.flag(
        8, "Filters of that CNN's first block; each of the three deeper ones doubles them.", minimum=1
    )
    crop_epochs: int = cli.flag(60, "Its epochs at most.", minimum=1)
    crop_patience: int = cli.flag(
        15, "Its epochs without a lower validation loss before stopping; 0 never stops.", minimum=0
    )
    crop_batch: int = cli.flag(16, "Crops in a batch of its training.", minimum=1)
    crop_learning_rate: float = cli.flag(1e-3, "Adam's learning rate of its training.", minimum=0.0)
    crop_folds: int = cli.flag(
        4,
        "Folds of the training patients, each of whose features come from a CNN that did not see them; 0 takes them "
        "from the one that was trained on them.",
        minimum=0,
    )
    extract_batch: int = cli.flag(10, "Slices in a batch.", minimum=1)
    features_from: str = cli.flag(
        "store",
        "Where later stages get features from: 'store' computes each once and keeps it on disk; 'slices' keeps none, "
        "and runs the U-Net in every epoch.",
        choices=("store", "slices"),
    )
    store_dtype: str = cli.flag(
        "float32",
        "Type of features on disk, real and synthetic: the 16-bit ones halve it.",
        choices=store_format.DTYPES,
    )
    store_codec: str = cli.flag(
        "none",
        "Compression of features on disk: lz4 is nearly free and halves wide blocks; zstd is smaller and slower.",
        choices=tuple(store_format.CODECS),
    )


def run(config: Config) -> None:
    """Writes run_dir/features: a store of [h, w, filters] features after ReLU for each split, or encoder.json alone."""
    shared_flags.use_device(config)
    check_tap(config)
    where = distribution.strategy(config.strategy)
    prepared, trained = rundir.find(config.run_dir, "prepare_slices"), rundir.find(config.run_dir, "train_unet")
    check_cross_fit(config.features_from, trained.record["config"].get("cross_fit", 0))
    slices = prepared.folder
    with worker_stages.open_stage(where, config, "extract_features", inputs=[prepared, trained]) as stage:
        if stage.done:
            return
        size = prepared.record["figures"]["image_size"]
        if config.tap == crops.TAP:
            sharding.check_batches(where, "--crop_batch", config.crop_batch)
        unet = unet_export.restore_unet(
            trained.folder, config=trained.record["config"], slices=prepared.record, precision=config.precision
        )
        measured: dict = {}
        parts = unet_parts.restore_parts(
            trained.folder, record=trained.record, slices=prepared.record, precision=config.precision
        )
        segment = part_features.segmenter(unet, parts)
        if config.tap == crops.TAP:
            check_crops(config, size)
            classes = Classes.of_record(prepared.record["classes"])
            encoders, measured["accuracy"] = _learn_crops(
                config, segment, slices=slices, classes=classes, stage=stage, where=where
            )
            tap, features = crops.encoder(unet, encoders.network), of_crops(segment, encoders, config.crop_size)
        else:
            encoders = part_features.tap_encoders(
                unet, parts, config.tap, slices=slices, batch=config.extract_batch, seed=config.seed
            )
            tap, features = encoders.network, of_tap(encoders)
        shape = tuple(tap.compute_output_shape((1, size, size, tap.input_shape[-1]))[1:])
        counts = {split: len(Store(slices, split)) for split in splits.SPLITS}
        if config.features_from == "slices":
            encoder = {"tap": config.tap, "precision": config.precision, "batch": config.extract_batch}
            json_files.write_json(stage.path / ENCODER, encoder)
        else:
            _extract(config, features, shape=shape, slices=slices, where=where)
        if not distribution.is_chief(where):
            return
        tensorboard.complete(stage, tap=config.tap, shape=shape, features=counts, **measured)
        logging.info("features: %s at %s, %s", "x".join(map(str, shape)), config.tap, counts)


def check_tap(config) -> None:
    """InputError where --tap is none."""
    known = (*TAPS, crops.TAP)
    if config.tap not in known:
        raise InputError(
            f"--tap={config.tap} is no block of the U-Net, nor {crops.TAP}; take one of {', '.join(known)}"
        )


def check_cross_fit(features_from: str, cross_fit: int) -> None:
    """InputError where features of training patients by other U-Nets cannot be computed again."""
    if features_from == "slices" and cross_fit:
        raise InputError(
            f"--features_from=slices does not work with --cross_fit={cross_fit}, by which each training patient has "
            "its own U-Net; take --features_from=store or --cross_fit=0"
        )


def check_crops(config, size: int) -> None:
    """InputError where crops of that size cannot be cut, or cross-fitted features not be computed again."""
    if config.tap != crops.TAP:
        return
    if config.crop_folds == 1:
        raise InputError("--crop_folds=1 leaves nobody out; take 2 or more, or 0 for no cross-fitting")
    if config.crop_size % 2**crops.HALVINGS or config.crop_size > size:
        raise InputError(
            f"--crop_size={config.crop_size} must be a multiple of 16, and at most {size}, the size of slices; take "
            f"{min(max(config.crop_size // 16, 1) * 16, size)}"
        )
    if config.features_from == "slices" and config.crop_folds:
        raise InputError(
            f"--features_from=slices does not work with --tap={crops.TAP} --crop_folds={config.crop_folds}, by which "
            "each training patient has its own network; take --features_from=store or --crop_folds=0"
        )


def _learn_crops(
    config: Config,
    segment: Segmenter,
    *,
    slices: Path,
    classes: Classes,
    stage: rundir.Stage,
    where: tf.distribute.Strategy,
) -> tuple[cross_fitting.Encoders, dict]:
    """Trains the CNN on crops of training patients."""
    train, validation = (
        crop_cnn.crops_of_split(segment, slices, split, size=config.crop_size, batch=config.extract_batch)
        for split in ("train", "validation")
    )
    settings = crop_cnn.Settings(
        size=config.crop_size,
        filters=config.crop_filters,
        epochs=config.crop_epochs,
        patience=config.crop_patience,
        batch=config.crop_batch,
        learning_rate=config.crop_learning_rate,
        folds=config.crop_folds,
        seed=config.seed,
        num_classes=classes.count,
    )
    encoders, accuracy = crop_cnn.fit(
        train,
        validation,
        settings=settings,
        folder=stage.path,
        logs=stage.logs,
        group_of=patient_files.read_patients(slices).group,
        where=where,
    )
    if config.crop_folds and not encoders.folds:
        logging.warning(
            "%s: a class has one training patient (or group of them) only, so features of training patients come from "
            "the CNN that saw them, and separate the classes better than they should",
            crops.TAP,
        )
    values = ", ".join(f"{name} {value:.3f}" for name, value in accuracy.items())
    logging.info("%s: balanced accuracy per slice: %s", crops.TAP, values)
    return encoders, accuracy


def of_tap(encoders: cross_fitting.Encoders) -> Callable[[dict], np.ndarray]:
    """From a batch of slices to features at a block."""
    encode = encoders.runner()
    return lambda batch: encode(batch["image"].numpy(), pipelines.text(batch["patient"].numpy()))


def of_crops(segment: Segmenter, encoders: cross_fitting.Encoders, size: int) -> Callable[[dict], np.ndarray]:
    """From a batch of slices to features of their crops of that size."""
    encode = encoders.runner()

    def features(batch):
        patients = pipelines.text(batch["patient"].numpy())
        probability = segment(batch["image"].numpy(), patients)
        images, _ = crops.cut_by_probability(probability, batch["image"], size)
        return encode(images.numpy(), patients)

    return features


def _extract(
    config: Config,
    features: Callable[[dict], np.ndarray],
    *,
    shape: tuple[int, ...],
    slices: Path,
    where: tf.distribute.Strategy,
) -> None:
    """Writes the store; of several workers each writes its part, and the chief joins them.

    Where all parts were written before, by however many workers, no feature is computed again.
    """
    number, total = distribution.workers(where)
    folder = rundir.part_of(config.run_dir, "extract_features")  # the chief's, that all workers write into
    parts = sharding.gathered(where, store_parts.written(folder) if number == 0 else 0)[0]
    if parts:
        logging.info("features: all %d parts of workers were written before, and are joined", parts)
    else:
        parts = total
        if number == 0:
            store_parts.drop_stale(folder, splits.SPLITS, total)
        for split in splits.SPLITS:
            extract_split(
                config,
                features,
                shape=shape,
                slices=slices,
                split=split,
                folder=folder,
                part=(number, total),
                where=where,
            )
        distribution.any_worker(where, False)  # until all parts are written
        if total > 1 and number == 0:
            store_parts.say_written(folder, total)
    if parts > 1 and number == 0:
        store_parts.join(folder, splits.SPLITS, parts)


def extract_split(
    config: Config,
    features_of: Callable[[dict], np.ndarray],
    *,
    shape: tuple[int, ...],
    slices: Path,
    split: str,
    folder: Path,
    part: tuple[int, int] = (0, 1),
    where: tf.distribute.Strategy | None = None,
) -> None:
    """Writes the features of one split, or what a run that was killed left of it.

    Args:
      config: of the stage.
      features_of: from a batch of slices to their features.
      shape: of a feature.
      slices: folder of the stage prepare_slices.
      split: one of `splits.SPLITS`.
      folder: of the store.
      part: number of the part of the split that is written, and how many there are, each in a folder of its own.
      where: the strategy, all of whose devices here compute; None for one device.
    """
    where = where or distribution.strategy(distribution.ONE)
    tensors = {"feature": (shape, config.store_dtype)}
    per_shard = store_writer.records_per_shard(tensors)
    first, end = store_parts.records_of_part(len(Store(slices, split)), per_shard, part=part[0], parts=part[1])
    if part[1] > 1:
        folder = store_parts.folder_of(folder, *part)
        folder.mkdir(exist_ok=True)
    with Writer(folder, split, tensors, codec=config.store_codec, resume=True) as writer:
        done, total = len(writer), end - first
        if done:
            logging.info("%s of %s: resumed after %d of %d features", config.tap, split, done, total)
        # the first batch begins where it would have, had one worker begun at 0: what is before the part is not written
        number = (first + done) // config.extract_batch * config.extract_batch if part[1] > 1 else done
        batches = pipelines.slices(slices, split, config.extract_batch, start=number) if done < total else []
        with tqdm(total=total, initial=done, desc=f"{config.tap} of {split}", unit="slice") as bar:
            for batch, features in inference.over_devices(where, features_of, batches):
                keys = [batch[name].numpy() for name in ("patient", "slice", "label")]
                for place, feature, patient, position, label in zip(itertools.count(number), features, *keys):
                    if first + len(writer) <= place < end:
                        writer.write({"feature": feature}, patient.decode(), slice_index=position, label=label)
                        bar.update()
                number += len(features)
                if number >= end:
                    break


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, about=__doc__, known_elsewhere=stages.all_flags)


if __name__ == "__main__":
    main()
