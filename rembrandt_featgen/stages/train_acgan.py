"""Trains the ACGAN, which learns to generate features of each grade, on the training patients' features."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf
from absl import logging

from rembrandt_featgen import cli, rundir, stages
from rembrandt_featgen.models import acgan as gans
from rembrandt_featgen.stages import fields
from rembrandt_featgen.training import callbacks, datasets, loops, scaling
from rembrandt_featgen.training.features import open_features

FOLDER = "acgan"


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the stage."""

    run_dir: str = fields.run_dir()
    seed: int = fields.seed()
    precision: str = fields.precision()
    ndf: int = cli.flag(512, "Filters of each hidden layer of the discriminator.", minimum=1, source="paper 4.2.1")
    ngf: int = cli.flag(512, "Filters of each hidden layer of the generator.", minimum=1, source="paper 4.2.1")
    acgan_latent: int = cli.flag(100, "Length of the noise vector.", minimum=1)
    acgan_epochs: int = cli.flag(50, "Epochs.", minimum=1, source="paper 4.2")
    acgan_batch: int = cli.flag(16, "Features in a batch, both grades equally often.", minimum=2, source="paper 4.2")
    acgan_learning_rate: float = cli.flag(
        2e-4, "Adam's learning rate for both networks; the paper takes 0.002.", minimum=0.0
    )
    acgan_beta1: float = cli.flag(0.5, "Adam's beta1, as in the implementation that the paper followed.", minimum=0.0)


def run(config: Config) -> None:
    """Writes run_dir/acgan: best.npz (the last epoch's), history.json and scale.npy."""
    features, record, digest = rundir.find(config.run_dir, "features", "extract")
    with rundir.open_stage(config, FOLDER, {"features": digest}) as stage:
        if stage.done:
            return
        datasets.set_seed(config.seed)
        scale = scaling.root_mean_square(datasets.features(features, "train", config.acgan_batch))
        np.save(stage.path / "scale.npy", scale)
        shape = tuple(record["figures"]["shape"])
        acgan = gans.build_acgan(
            shape, scale, config.ngf, config.ndf, config.acgan_latent, config.precision, config.seed
        )
        acgan.compile(
            tf.keras.optimizers.Adam(config.acgan_learning_rate, config.acgan_beta1),
            tf.keras.optimizers.Adam(config.acgan_learning_rate, config.acgan_beta1),
            config.precision,
        )
        steps = datasets.steps_per_epoch(len(open_features(features, "train")), config.acgan_batch)
        trained = loops.fit(
            acgan,
            datasets.balanced_features(features, config.acgan_batch),
            steps,
            config.acgan_epochs,
            datasets.feature_pairs(features, "validation", config.acgan_batch),
            callbacks.Checkpointing(stage.path, acgan, None),
            stage.logs,
            "ACGAN",
            config.seed,
        )
        last = {name: values[-1] for name, values in trained["history"].items()}
        stage.complete(
            shape=shape,
            generator=acgan.generator.count_params(),
            discriminator=acgan.discriminator.count_params(),
            **trained,
        )
        logging.info("ACGAN: class accuracy %.3f on its own features", last["fake_class_accuracy"])


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, __doc__, stages.all_flags)


if __name__ == "__main__":
    main()
