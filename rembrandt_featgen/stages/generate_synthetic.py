"""Generates features of each class and keeps those that are accepted as of that class.

By --accept_by=discriminator, the paper's way, the auxiliary classifier of the discriminator accepts; that of a "cgan"
has none, and that of an "adcgan" is the generator's adversary: all of their features are kept, and they have no
acceptance rate to report. Slices of an "image_acgan" are accepted as slices; those that are become features as real
slices do.

By --accept_by=judge a classifier of real training features accepts, which no generator was trained against; how good it
is on real features of test patients stands beside the acceptance rate.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path

from absl import logging
from tqdm import tqdm

from rembrandt_featgen import stages
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core import cli, rundir
from rembrandt_featgen.data.store_writer import Writer
from rembrandt_featgen.evaluation import run_judges
from rembrandt_featgen.evaluation.run_judges import RunJudge
from rembrandt_featgen.features import encoders
from rembrandt_featgen.generation import gan_export
from rembrandt_featgen.generation.acceptance import Tally, accepted_features
from rembrandt_featgen.generation.encoded_gan import EncodedGAN
from rembrandt_featgen.generation.gan import GAN
from rembrandt_featgen.generation.gan_kinds import KINDS
from rembrandt_featgen.nn import tensorboard
from rembrandt_featgen.stages import network_flags, shared_flags

SPLIT = "synthetic"
ACCEPTING = ("discriminator", "judge")


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
    generators: tuple[str, ...] = shared_flags.generators()
    synthetic_per_class: int = cli.flag(
        2400, "Features wanted of each class.", minimum=1, source="paper 4.2.2: 4800 in all"
    )
    generate_tries: int = network_flags.generate_tries()
    accept_by: str = cli.flag(
        "discriminator",
        "What accepts generated features: 'discriminator', as in the paper, its auxiliary classifier, which generators "
        "learn to agree with; 'judge' an independent classifier of real training features, whose accuracy on those of "
        "test patients is reported beside the acceptance rate.",
        choices=ACCEPTING,
    )
    generate_batch: int = cli.flag(64, "Features in a batch.", minimum=1)


def run(config: Config) -> None:
    """Writes run_dir/synthetic_<kind>: a store of accepted features, the classes alternating."""
    shared_flags.use_device(config)
    # One for all kinds, trained if any of them is not done.
    judge = functools.cache(functools.partial(run_judges.judge_of_run, config.run_dir, config.seed))
    for kind in shared_flags.check_generators(config):
        _generate(dataclasses.replace(config, generators=(kind,)), judge)


def _generate(config: Config, judge: Callable[[], RunJudge]) -> None:
    """Draws from the one kind that `config` names."""
    (kind,) = config.generators
    trained = rundir.find(config.run_dir, "train_generators", kind)
    extracted = rundir.find(config.run_dir, "extract_features")
    features, classes = extracted.record, Classes.of_record(trained.record["classes"])
    judging = config.accept_by == "judge"
    inputs = [trained, extracted] if KINDS[kind].of_images or judging else [trained]
    with rundir.open_stage(config, "generate_synthetic", inputs, kind=kind) as stage:
        if stage.done:
            return
        gan = gan_export.restore_gan(trained.folder, config.precision)
        generator: GAN | EncodedGAN = gan
        batch = config.generate_batch
        if KINDS[kind].of_images:  # in batches that fit the U-Net
            generator = EncodedGAN(gan, encoders.encoder_of_run(Path(config.run_dir), config.precision))
            batch = min(batch, features["config"]["extract_batch"])
        by = judge() if judging else RunJudge(None, None)
        tallies = {name: Tally() for name in classes.names}
        drawn = accepted_features(
            generator,
            by.judge,
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
        _complete(stage, tallies, kind, by=by, can_refuse=gan.can_refuse)


def _complete(stage, tallies: Mapping[str, Tally], kind: str, *, by: RunJudge, can_refuse: bool) -> None:
    """Finishes the stage with what the tallies of each class came to; where nothing judges there is no acceptance."""
    kept, generated, accepted, predicted = (
        sum(getattr(tally, name) for tally in tallies.values())
        for name in ("kept", "generated", "accepted", "by_discriminator")
    )
    judged = can_refuse or by.judge is not None
    said = {name: tally.probability / tally.generated for name, tally in tallies.items()}
    tensorboard.complete(
        stage,
        synthetic=kept,
        kept={name: tally.kept for name, tally in tallies.items()},
        generated=generated,
        acceptance={name: tally.rate for name, tally in tallies.items()} if judged else None,
        class_accuracy=predicted / generated if can_refuse else None,
        judge=None if by.record is None else {**by.record, "probability": said},
    )
    share = f"{100 * accepted / generated:.1f}% accepted" if judged else "all of those generated"
    logging.info("%s: %d features kept, %s", kind, kept, share)
    if by.record is not None and by.record["test"] is not None:
        accuracy = 100 * by.record["test"]["accuracy"]
        logging.info("%s: the judge is right of %.1f%% of real test features", kind, accuracy)


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, about=__doc__, known_elsewhere=stages.all_flags)


if __name__ == "__main__":
    main()
