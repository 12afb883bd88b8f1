"""Runs the trained U-Net up to one block and stores that block's features of all slices.

With --features_from=slices nothing is stored: the stages that follow compute the features anew whenever they need them.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf
from absl import logging
from tqdm import tqdm

from rembrandt_featgen import cli, rundir, stages
from rembrandt_featgen.cohort import splits
from rembrandt_featgen.data import store
from rembrandt_featgen.errors import InputError
from rembrandt_featgen.models import unet as unets
from rembrandt_featgen.stages import fields
from rembrandt_featgen.training import datasets, restore
from rembrandt_featgen.training.features import ENCODER

FOLDER = "features"


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the stage."""

    run_dir: str = fields.run_dir()
    precision: str = fields.precision()
    tap: str = cli.flag("conv5", f"Block whose features are taken: one of {', '.join(unets.TAPS)}.", source="paper 4.1")
    extract_batch: int = cli.flag(10, "Slices in a batch.", minimum=1)
    features_from: str = cli.flag(
        "store",
        "Where later stages get features from: 'store' computes each once and keeps it on disk; 'slices' keeps none, "
        "and runs the U-Net in every epoch.",
        choices=("store", "slices"),
    )
    store_dtype: str = cli.flag(
        "float32", "Type of features on disk, real and synthetic: the 16-bit ones halve it.", choices=store.DTYPES
    )
    store_codec: str = cli.flag(
        "none",
        "Compression of features on disk: lz4 is nearly free and halves wide blocks; zstd is smaller and slower.",
        choices=store.CODECS,
    )


def run(config: Config) -> None:
    """Writes run_dir/features: a store of [h, w, filters] features after ReLU for each split, or encoder.json alone."""
    if config.tap not in unets.TAPS:
        raise InputError(f"--tap={config.tap} is no block of the U-Net; take one of {', '.join(unets.TAPS)}")
    slices, slices_record, slices_digest = rundir.find(config.run_dir, "slices", "prepare")
    folder, record, digest = rundir.find(config.run_dir, "unet", "finetune")
    with rundir.open_stage(config, FOLDER, {"slices": slices_digest, "unet": digest}) as stage:
        if stage.done:
            return
        unet = restore.unet(folder, record["config"], slices_record, config.precision)
        tap = unets.tap_model(unet, config.tap)
        size = slices_record["config"]["image_size"]
        shape = tuple(tap.compute_output_shape((1, size, size, tap.input_shape[-1]))[1:])
        counts = {split: len(store.Store(slices, split)) for split in splits.SPLITS}
        if config.features_from == "slices":
            encoder = {"tap": config.tap, "precision": config.precision, "batch": config.extract_batch}
            rundir.write_json(stage.path / ENCODER, encoder)
        else:
            for split in splits.SPLITS:
                extract_split(config, tap, shape, slices, split, stage.path)
        stage.complete(tap=config.tap, shape=shape, features=counts)
        logging.info("features: %s at %s, %s", "x".join(map(str, shape)), config.tap, counts)


def extract_split(config: Config, tap: tf.keras.Model, shape, slices, split: str, folder) -> None:
    """Writes the features of one split, or what a run that was killed left of it."""
    tensors = {"feature": (shape, config.store_dtype)}
    with store.Writer(folder, split, tensors, config.store_codec, resume=True) as writer:
        done, total = len(writer), len(store.Store(slices, split))
        if done:
            logging.info("%s of %s: goes on after %d of %d features", config.tap, split, done, total)
        with tqdm(total=total, initial=done, desc=f"{config.tap} of {split}", unit="slice") as bar:
            for batch in datasets.slices(slices, split, config.extract_batch, done):
                features = tap.predict_on_batch(batch["image"])
                keys = [batch[name].numpy() for name in ("patient", "slice", "label")]
                for feature, patient, position, label in zip(features, *keys):
                    writer.write({"feature": feature}, patient.decode(), position, label)
                bar.update(len(features))


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, __doc__, stages.all_flags)


if __name__ == "__main__":
    main()
