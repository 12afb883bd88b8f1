"""Trains the ACGAN, or other generators of features of each class, on the training patients' features.

An "image_acgan" is trained on their slices, and needs no features.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf
from absl import logging

from rembrandt_featgen import stages
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core import cli, rundir
from rembrandt_featgen.data import pipelines
from rembrandt_featgen.features import scaling, streams
from rembrandt_featgen.features.reading import open_features
from rembrandt_featgen.generation import gan_callbacks, gan_export, gan_training
from rembrandt_featgen.generation.gan_kinds import KINDS
from rembrandt_featgen.generation.gan_losses import CLASS_LOSSES
from rembrandt_featgen.generation.gan_spec import NETWORKS, GanSpec
from rembrandt_featgen.nn import checkpointing, distribution, resumable_fit, sharding, tensorboard, worker_stages
from rembrandt_featgen.stages import network_flags, shared_flags

SHOWN = 8  # maps of a generated feature in TensorBoard


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the stage."""

    run_dir: str = shared_flags.run_dir()
    seed: int = shared_flags.seed()
    precision: str = shared_flags.precision()
    device: str = shared_flags.device()
    tf32: bool = shared_flags.tf32()
    jit: bool = shared_flags.jit()
    deterministic: bool = shared_flags.deterministic()
    strategy: str = shared_flags.strategy()
    generators: tuple[str, ...] = shared_flags.generators()
    gan_loss: str = cli.flag(
        "correct",
        "'reference' has the defect of the reference implementation, which fed softmax instead of log-softmax to the "
        "class term of both networks: they minimise -P(class) in place of -log P(class). A cgan has no class term.",
        choices=tuple(CLASS_LOSSES),
    )
    gan_networks: str = cli.flag(
        "correct",
        "'reference' has a plain discriminator, and a generator that ends in tanh, for which each channel's range over "
        "training features is mapped onto -1 to 1 (how the paper scaled them it does not say); 'correct' has spectral "
        "normalisation and dropout in the discriminator, and a generator that ends in ReLU.",
        choices=NETWORKS,
    )
    infogan_codes: int = cli.flag(
        2, "Continuous codes of an infogan, uniform in (-1, 1), beside its noise.", minimum=1, source="Chen et al. 2016"
    )
    infogan_weight: float = cli.flag(
        1.0, "Weight (lambda) of the bound on the codes' mutual information with the feature.", minimum=0.0
    )
    ndf: int = network_flags.ndf()
    ngf: int = network_flags.ngf()
    gan_latent: int = cli.flag(100, "Length of the noise vector.", minimum=1)
    gan_epochs: int = cli.flag(50, "Epochs.", minimum=1, source="paper 4.2")
    gan_batch: int = network_flags.gan_batch()
    gan_balanced: bool = cli.flag(
        True,
        "Whether real batches hold all classes equally often, as generated ones do, features of the minority class "
        "being repeated; false takes each feature once an epoch (the paper says nothing of balance).",
    )
    gan_learning_rate: float = network_flags.gan_learning_rate()
    gan_ema_decay: float = cli.flag(
        0.999,
        "EMA decay: that of the exponential moving average of the generator's weights, from which features are drawn; "
        "0 draws from those of the last step, as the paper does.",
        minimum=0.0,
        maximum=0.99999,
    )
    gan_flip: bool = cli.flag(
        True, "Whether the discriminator sees features mirrored at random; false as in the paper."
    )
    gan_minibatch_stddev: bool = cli.flag(
        True, "Whether the discriminator sees the minibatch standard deviation; false as in the paper."
    )
    gan_beta1: float = network_flags.gan_beta1()


def run(config: Config) -> None:
    """Writes run_dir/generator_<kind>: best.npz (the last epoch's), history.json, gan.json, scale.npy.

    A kind of slices has their background in lowest.npy; with the reference implementation's networks, each kind has the
    middle of each channel's range there.

    Each kind is a stage by itself: it is skipped, resumed or redone whatever became of the others.
    """
    shared_flags.use_device(config)
    for kind in shared_flags.check_generators(config):
        _train(dataclasses.replace(config, generators=(kind,)))


def _train(config: Config) -> None:
    """Trains the one kind that `config` names."""
    (kind,) = config.generators
    where = distribution.strategy(config.strategy)
    source = rundir.find(config.run_dir, "prepare_slices" if KINDS[kind].of_images else "extract_features")
    features, classes = source.folder, Classes.of_record(source.record["classes"])
    with worker_stages.open_stage(where, config, "train_generators", inputs=[source], kind=kind) as stage:
        if stage.done:
            return
        tf.keras.utils.set_random_seed(config.seed)
        batches = streams.features(features, "train", config.gan_batch)
        lowest: np.ndarray | float = 0.0
        if config.gan_networks == "reference":
            lowest, scale = scaling.range_of(batches)
        else:
            lowest = scaling.lowest(batches) if KINDS[kind].of_images else 0.0
            scale = scaling.root_mean_square(batches, lowest)
        training = open_features(features, "train")
        sharding.check_batches(
            where,
            "--gan_batch",
            config.gan_batch,
            count=None if config.gan_balanced else len(training),
            validation=len(open_features(features, "validation")),
        )
        spec = GanSpec(
            kind=kind,
            shape=training.shape,
            num_classes=classes.count,
            filters_generator=config.ngf,
            filters_discriminator=config.ndf,
            latent=config.gan_latent,
            codes=config.infogan_codes,
            information_weight=config.infogan_weight,
            class_loss=config.gan_loss,
            networks=config.gan_networks,
            ema_decay=config.gan_ema_decay,
            flip=config.gan_flip,
            minibatch_stddev=config.gan_minibatch_stddev,
            precision=config.precision,
            seed=config.seed,
        )
        gan_export.save_settings(stage.path, spec, scale=scale, lowest=lowest)
        with distribution.scope(where):
            gan = gan_training.compiled(
                spec, scale, lowest, learning_rate=config.gan_learning_rate, beta1=config.gan_beta1
            )
        steps = pipelines.steps_per_epoch(len(training), config.gan_batch)
        epochs = streams.labelled_features([(features, "train", len(training))], config.gan_batch)
        if config.gan_balanced:
            epochs = streams.balanced_features(features, config.gan_batch)
        shown = np.argsort(scale)[::-1][:SHOWN]
        trained = resumable_fit.fit(
            gan,
            make_epoch=epochs,
            steps=steps,
            epochs=config.gan_epochs,
            validation=streams.feature_pairs(features, "validation", config.gan_batch),
            checkpointing=checkpointing.Checkpointing(
                stage.path, gan, monitor=None, seconds=checkpointing.SAVE_SECONDS
            ),
            logs=stage.logs,
            title=kind,
            seed=config.seed,
            extra=[gan_callbacks.GeneratedMaps(stage.logs, classes, channels=shown, epochs=config.gan_epochs)],
        )
        if not distribution.is_chief(where):
            return
        last = ", ".join(f"{name} {values[-1]:.3f}" for name, values in trained["history"].items())
        tensorboard.complete(
            stage,
            shape=training.shape,
            generator=gan.generator.count_params(),
            discriminator=gan.discriminator.count_params(),
            **trained,
        )
        logging.info("%s: last epoch: %s", kind, last)


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, about=__doc__, known_elsewhere=stages.all_flags)


if __name__ == "__main__":
    main()
