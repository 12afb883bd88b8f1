"""Trains the classifier of every arm of a study on one fold's features, and tests each on the fold's test patients.

The amount of extra samples, the epoch and the threshold are chosen by the fold's validation patients. The features of
the training patients are held in memory.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from rembrandt_featgen import stages
from rembrandt_featgen.classification import map_networks
from rembrandt_featgen.cohort import splits
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core import cli, rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import generator_measures, loaded_features, pools, predictions, trials
from rembrandt_featgen.evaluation.amounts import choose_amount, predict
from rembrandt_featgen.evaluation.arms import ARMS, with_pool
from rembrandt_featgen.features import encoders, scaling, streams
from rembrandt_featgen.generation import training_set
from rembrandt_featgen.generation.training_set import TrainingSet
from rembrandt_featgen.nn import inference, tensorboard
from rembrandt_featgen.stages import shared_flags


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the stage."""

    run_dir: str = shared_flags.run_dir()
    seed: int = shared_flags.seed()
    precision: str = shared_flags.precision()
    arms: tuple[str, ...] = cli.flag(
        tuple(name for name, arm in ARMS.items() if arm.kind != "generative" or name == "acgan"),
        f"Arms that compete, of {', '.join(ARMS)}; generators among them must be in --generators.",
    )
    arm_amounts: tuple[str, ...] = shared_flags.arm_amounts()
    augmentation: str = shared_flags.augmentation()
    arms_classifier: str = cli.flag("cnn", "Classifier of all arms.", choices=map_networks.KINDS)
    classifier_filters: int = shared_flags.classifier_filters()
    classifier_units: int = shared_flags.classifier_units()
    classifier_epochs: int = shared_flags.classifier_epochs()
    classifier_batch: int = shared_flags.classifier_batch()
    classifier_learning_rate: float = shared_flags.classifier_learning_rate()
    classifier_patience: int = shared_flags.classifier_patience()


def run(config: Config) -> None:
    """Writes run_dir/arms: predictions.csv of the test slices by each arm and amount, and in stage.json the choices."""
    chosen, amounts = chosen_arms(config), shared_flags.amounts(config.arm_amounts)
    generators = [name for name in chosen if ARMS[name].kind == "generative"]
    check_generators(
        chosen, [name for name in generators if rundir.is_done(config.run_dir, "generate_synthetic", name)]
    )
    found = rundir.find_inputs(config.run_dir, "train_arms")
    synthetic = {name: rundir.find(config.run_dir, "generate_synthetic", name) for name in generators}
    features = found["extract_features"].folder
    classes = Classes.of_record(found["extract_features"].record["classes"])
    with rundir.open_stage(config, "train_arms", [*found.values(), *synthetic.values()]) as stage:
        if stage.done:
            return
        train, validation, test = (loaded_features.load(features, split) for split in splits.SPLITS)
        splits.check_disjoint({"train": train.patients, "validation": validation.patients, "test": test.patients})
        scale = scaling.root_mean_square(streams.features(features, "train", config.classifier_batch))
        training = TrainingSet(
            train.features, train.labels, patients=train.patients, scale=scale, num_classes=classes.count
        )
        held_out = trials.Validation(validation.features, validation.labels, validation.patients)
        settings = trials.Settings(
            kind=config.arms_classifier,
            filters=config.classifier_filters,
            units=config.classifier_units,
            epochs=config.classifier_epochs,
            patience=config.classifier_patience,
            batch=config.classifier_batch,
            learning_rate=config.classifier_learning_rate,
            precision=config.precision,
        )
        arm_pools = {name: pools.of_generator(entry.folder, training) for name, entry in synthetic.items()}
        if "image_augmentation" in chosen:
            network = encoders.encoder_of_run(Path(config.run_dir), config.precision)
            arm_pools["image_augmentation"] = pools.of_augmented_slices(
                found["prepare_slices"].folder,
                inference.runner(network),
                augmentation=config.augmentation,
                wanted=training_set.counts(train.labels, max([*amounts, generator_measures.AMOUNT]), classes.count),
                seed=config.seed,
            )
        tables, choices, networks = [], {}, {}
        for name in tqdm(chosen, "arms", unit="arm"):
            arm = with_pool(ARMS[name], arm_pools[name]) if ARMS[name].pooled else ARMS[name]
            choice = choose_amount(arm, training, held_out, amounts=amounts, settings=settings, seed=config.seed)
            predicted, choices[name] = predict(choice, arm, validation=held_out, test=test, classes=classes)
            tables.append(predicted)
            networks[name] = choice.trained
        predictions.write(stage.path / predictions.FILE, predictions.join(tables).replace(seed=config.seed))
        measured = {}
        for name, pool in arm_pools.items():
            if len(np.unique(pool.labels)) == classes.count:
                measured[name] = generator_measures.measure(
                    pool,
                    training=training,
                    validation=held_out,
                    test=test,
                    settings=settings,
                    seed=config.seed,
                    real=networks.get("none"),
                )
        for name in measured.keys() & synthetic.keys():
            figures = synthetic[name].record["figures"]
            if figures["acceptance"] is not None:  # a cgan has no auxiliary classifier that could accept
                measured[name]["class_accuracy_own"] = figures["class_accuracy"]
                measured[name]["acceptance"] = figures["acceptance"]
        tensorboard.complete(stage, arms=choices, generators=measured, shape=train.features.shape[1:])


def check_generators(chosen: Sequence[str], trained: Sequence[str]) -> None:
    """InputError for a generator among the arms that was not, or will not be, trained."""
    missing = [name for name in chosen if name in ARMS and ARMS[name].kind == "generative"]
    missing = [name for name in missing if name not in trained]
    if missing:
        raise InputError(
            f"--arms={','.join(chosen)}: there are no features by {', '.join(missing)}; add it to --generators and run "
            "train_generators and generate_synthetic, or leave it out of --arms"
        )


def chosen_arms(config) -> tuple[str, ...]:
    """The arms of --arms in the order of the table; InputError where they cannot be compared."""
    cli.some_of("arms", config.arms, ARMS, at_least=0)
    if not any(ARMS[name].kind != "generative" for name in config.arms):
        raise InputError(f"--arms={','.join(config.arms)}: none to compare generated features with; add 'none'")
    return tuple(name for name in ARMS if name in config.arms)


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, about=__doc__, known_elsewhere=stages.all_flags)


if __name__ == "__main__":
    main()
