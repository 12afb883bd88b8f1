"""Generates features of each class and keeps those whose class the discriminator's auxiliary classifier predicts.

The discriminator of a "cgan" has none: all of its features are kept, and it has no acceptance rate to report. Slices of
an "image_acgan" are accepted as slices; those that are become features as real slices do.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from absl import logging
from tqdm import tqdm

from rembrandt_featgen import stages
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core import cli, rundir
from rembrandt_featgen.data.store_writer import Writer
from rembrandt_featgen.features import encoders
from rembrandt_featgen.generation import gan_export
from rembrandt_featgen.generation.acceptance import Tally, accepted_features
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
        2400, "Features wanted of each class.", minimum=1, source="paper 4.2.2: 4800 in all"
    )
    generate_tries: int = cli.flag(
        10,
        "Times --synthetic_per_class that are generated at most; 1 generates that many and keeps those of them that "
        "are accepted, as the paper does.",
        minimum=1,
    )
    generate_batch: int = cli.flag(64, "Features in a batch.", minimum=1)


def run(config: Config) -> None:
    """Writes run_dir/synthetic_<kind>: a store of accepted features, the classes alternating."""
    for kind in shared_flags.check_generators(config):
        _generate(dataclasses.replace(config, generators=(kind,)))


def _generate(config: Config) -> None:
    """Draws from the one kind that `config` names."""
    (kind,) = config.generators
    trained = rundir.find(config.run_dir, "train_generators", kind)
    extracted = rundir.find(config.run_dir, "extract_features")
    features, classes = extracted.record, Classes.of_record(trained.record["classes"])
    inputs = [trained, extracted] if KINDS[kind].of_images else [trained]
    with rundir.open_stage(config, "generate_synthetic", inputs, kind=kind) as stage:
        if stage.done:
            return
        gan = gan_export.restore_gan(trained.folder, config.precision)
        generator: GAN | EncodedGAN = gan
        batch = config.generate_batch
        if KINDS[kind].of_images:  # in batches that fit the U-Net
            generator = EncodedGAN(gan, encoders.encoder_of_run(Path(config.run_dir), config.precision))
            batch = min(batch, features["config"]["extract_batch"])
        tallies = {name: Tally() for name in classes.names}
        drawn = accepted_features(
            generator,
            generator.accepted,
            list(tallies.values()),
            wanted=config.synthetic_per_class,
            tries=config.generate_tries,
            batch=batch,
            seed=config.seed,
        )
        total = config.synthetic_per_class * classes.count
        tensors = {"feature": (tuple(features["figures"]["shape"]), features["config"]["store_dtype"])}
        with Writer(stage.path, SPLIT, tensors, codec=features["config"]["store_codec"]) as writer:
            for position, label, feature in tqdm(drawn, f"features by {kind}", total, unit="feature"):
                patient = f"synthetic_{classes.names[label]}"
                writer.write({"feature": feature}, patient, slice_index=position, label=label)
        for name, tally in tallies.items():
            if tally.kept < config.synthetic_per_class:
                logging.warning(
                    "only %d of %d wanted %s features were accepted in %d tries: train the %s longer "
                    "(--gan_epochs) or raise --generate_tries",
                    tally.kept,
                    config.synthetic_per_class,
                    name,
                    tally.generated,
                    kind,
                )
        _complete(stage, tallies, kind, judged=gan.has_auxiliary_classifier)


def _complete(stage, tallies: Mapping[str, Tally], kind: str, *, judged: bool) -> None:
    """Finishes the stage with what the tallies of each class came to; without a judge there is no acceptance."""
    kept, generated, accepted = (
        sum(getattr(tally, name) for tally in tallies.values()) for name in ("kept", "generated", "accepted")
    )
    tensorboard.complete(
        stage,
        synthetic=kept,
        kept={name: tally.kept for name, tally in tallies.items()},
        generated=generated,
        acceptance={name: tally.rate for name, tally in tallies.items()} if judged else None,
        class_accuracy=accepted / generated if judged else None,
    )
    share = f"{100 * accepted / generated:.1f}% accepted" if judged else "all of those generated"
    logging.info("%s: %d features kept, %s", kind, kept, share)


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, about=__doc__, known_elsewhere=stages.all_flags)


if __name__ == "__main__":
    main()
