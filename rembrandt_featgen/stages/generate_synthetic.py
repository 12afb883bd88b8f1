"""Generates features of each grade and keeps those whose grade the discriminator's class head confirms.

The discriminator of a "cgan" has none: all of its features are kept, and it has no acceptance to report. Slices of an
"image_acgan" are confirmed as slices; those that are become features as real slices do.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import logging
from tqdm import tqdm

from rembrandt_featgen import stages
from rembrandt_featgen.cohort.layouts import GRADES
from rembrandt_featgen.core import cli, rundir
from rembrandt_featgen.data.store_writer import Writer
from rembrandt_featgen.features import encoders
from rembrandt_featgen.generation import gan_export
from rembrandt_featgen.generation.encoded_gan import EncodedGAN
from rembrandt_featgen.generation.gan import GAN
from rembrandt_featgen.generation.gan_kinds import KINDS
from rembrandt_featgen.nn import tensorboard
from rembrandt_featgen.stages import shared_flags

SPLIT = "synthetic"


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the stage."""

    run_dir: str = shared_flags.run_dir()
    seed: int = shared_flags.seed()
    precision: str = shared_flags.precision()
    generators: tuple[str, ...] = shared_flags.generators()
    synthetic_per_class: int = cli.flag(
        2400, "Features wanted of each grade.", minimum=1, source="paper 4.2.2: 4800 in all"
    )
    generate_tries: int = cli.flag(
        10,
        "Times --synthetic_per_class that are generated at most; 1 generates that many and keeps those of them that "
        "are confirmed, as the paper does.",
        minimum=1,
    )
    generate_batch: int = cli.flag(64, "Features in a batch.", minimum=1)


def run(config: Config) -> None:
    """Writes run_dir/synthetic_<kind>: a store of confirmed features, the classes alternating."""
    for kind in shared_flags.check_generators(config):
        _generate(dataclasses.replace(config, generators=(kind,)))


def _generate(config: Config) -> None:
    """Draws from the one kind that `config` names."""
    (kind,) = config.generators
    trained = rundir.find(config.run_dir, "train_generators", kind)
    extracted = rundir.find(config.run_dir, "extract_features")
    folder, record, features = trained.folder, trained.record, extracted.record
    inputs = [trained, extracted] if KINDS[kind].of_images else [trained]
    with rundir.open_stage(config, "generate_synthetic", inputs, kind=kind) as stage:
        if stage.done:
            return
        gan = gan_export.restore_gan(folder, tuple(record["figures"]["shape"]), record["config"], config.precision)
        shape, batch = tuple(features["figures"]["shape"]), config.generate_batch
        if KINDS[kind].of_images:  # in batches that fit the U-Net
            gan = EncodedGAN(gan, encoders.encoder_of_run(Path(config.run_dir), config.precision))
            batch = min(batch, features["config"]["extract_batch"])
        tallies = [_Tally() for _ in GRADES]
        draws = [_confirmed(gan, label, batch, config, tally) for label, tally in enumerate(tallies)]
        bar = tqdm(total=config.synthetic_per_class * len(GRADES), desc=f"features by {kind}", unit="feature")
        kept_as = features["config"]
        tensors = {"feature": (shape, kept_as["store_dtype"])}
        with Writer(stage.path, SPLIT, tensors, codec=kept_as["store_codec"]) as writer:
            for position in range(config.synthetic_per_class):
                for label in range(len(GRADES)):
                    feature = next(draws[label], None)
                    if feature is not None:
                        writer.write(
                            {"feature": feature}, f"synthetic_{GRADES[label]}", slice_index=position, label=label
                        )
                        tallies[label].kept += 1
                        bar.update()
        bar.close()
        for grade, tally in zip(GRADES, tallies):
            if tally.kept < config.synthetic_per_class:
                logging.warning(
                    "only %d of %d wanted %s features were confirmed in %d tries: train the %s longer "
                    "(--gan_epochs) or raise --generate_tries",
                    tally.kept,
                    config.synthetic_per_class,
                    grade,
                    tally.tried,
                    kind,
                )
        kept, tried, right = (sum(getattr(t, name) for t in tallies) for name in ("kept", "tried", "right"))
        tensorboard.complete(
            stage,
            synthetic=kept,
            kept={grade: tally.kept for grade, tally in zip(GRADES, tallies)},
            generated=tried,
            acceptance={g: t.right / t.tried for g, t in zip(GRADES, tallies)} if gan.confirms else None,
            class_accuracy=right / tried if gan.confirms else None,
        )
        confirmed = f"{100 * right / tried:.1f}% confirmed" if gan.confirms else "which nothing confirms"
        logging.info("%s: %d features kept, %s", kind, kept, confirmed)


@dataclasses.dataclass
class _Tally:
    """Features of one grade: tried, of which confirmed (right), of which written (kept)."""

    tried: int = 0
    right: int = 0
    kept: int = 0


def _confirmed(gan: GAN | EncodedGAN, label: int, batch: int, config: Config, tally: _Tally):
    """Yields each confirmed feature of a grade, [h, w, channels]."""

    @tf.function
    def draw(step):
        # one stream of seeds for each grade
        noise = gan.noise(batch, [config.seed + 1, step * len(GRADES) + label])
        return gan.draw(noise, tf.fill([batch], label))

    most = config.synthetic_per_class * config.generate_tries
    for step in range(-(-most // batch)):
        features, confirmed = (tensor.numpy()[: most - tally.tried] for tensor in draw(tf.constant(step)))
        tally.tried += len(confirmed)
        tally.right += int(np.sum(confirmed))
        yield from features[confirmed]


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, __doc__, stages.all_flags)


if __name__ == "__main__":
    main()
