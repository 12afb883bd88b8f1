"""Trains the classifier of every arm of a study on one fold's features, and tests each on the fold's test patients.

The amount of extra samples, the epoch and the threshold are chosen by the fold's validation patients. The features of
the training patients are held in memory.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from absl import logging
from tqdm import tqdm

from rembrandt_featgen import stages
from rembrandt_featgen.classification import classifiers
from rembrandt_featgen.cohort import splits
from rembrandt_featgen.cohort.layouts import GRADES
from rembrandt_featgen.core import cli, rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data import pipelines
from rembrandt_featgen.data.augmentation_modes import AUGMENTATIONS
from rembrandt_featgen.data.store import Store
from rembrandt_featgen.evaluation import arm_table, trials
from rembrandt_featgen.evaluation.arms import ARMS, Arm, with_pool
from rembrandt_featgen.features import encoders, scaling, streams
from rembrandt_featgen.features.reading import open_features
from rembrandt_featgen.generation import classical
from rembrandt_featgen.measures import classification, generative
from rembrandt_featgen.nn import inference, tensorboard
from rembrandt_featgen.stages import shared_flags

_BATCH = 16  # slices that are augmented at a time
_MEASURED = 1.0  # amount of a generator's features that is measured


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
    arm_amounts: tuple[str, ...] = cli.flag(
        ("0", "1", "4"),
        "Amounts of extra samples to choose from: 0 brings the rarer grade up to the other; a does so and adds a times "
        "half the training samples to each grade.",
    )
    augmentation: str = shared_flags.augmentation()
    arms_classifier: str = cli.flag("cnn", "Classifier of all arms.", choices=classifiers.KINDS)
    classifier_filters: int = shared_flags.classifier_filters()
    classifier_units: int = shared_flags.classifier_units()
    classifier_epochs: int = shared_flags.classifier_epochs()
    classifier_batch: int = shared_flags.classifier_batch()
    classifier_learning_rate: float = shared_flags.classifier_learning_rate()
    classifier_patience: int = shared_flags.classifier_patience()


class Split(NamedTuple):
    """Features [n, h, w, channels] of a split, with label, patient and position of each slice [n]."""

    features: np.ndarray
    labels: np.ndarray
    patients: np.ndarray
    slices: np.ndarray


def run(config: Config) -> None:
    """Writes run_dir/arms: predictions.csv of the test slices by each arm and amount, and in stage.json the choices."""
    chosen, amounts = chosen_arms(config), chosen_amounts(config)
    generators = [name for name in chosen if ARMS[name].kind == "generative"]
    check_generators(
        chosen, [name for name in generators if rundir.is_done(config.run_dir, "generate_synthetic", name)]
    )
    found = rundir.find_inputs(config.run_dir, "train_arms", optional=["generate_synthetic"])
    synthetic = {name: rundir.find(config.run_dir, "generate_synthetic", name) for name in generators}
    slices, features = found["prepare_slices"].folder, found["extract_features"].folder
    with rundir.open_stage(config, "train_arms", [*found.values(), *synthetic.values()]) as stage:
        if stage.done:
            return
        train, validation, test = (load(features, split) for split in splits.SPLITS)
        splits.check_disjoint(dict(zip(splits.SPLITS, (part.patients for part in (train, validation, test)))))
        scale = scaling.root_mean_square(streams.features(features, "train", config.classifier_batch))
        training = classical.TrainingSet(train.features, train.labels, train.patients, scale)
        held_out = trials.Validation(validation.features, validation.labels, validation.patients)
        settings = trials.Settings(
            config.arms_classifier,
            config.classifier_filters,
            config.classifier_units,
            config.classifier_epochs,
            config.classifier_patience,
            config.classifier_batch,
            config.classifier_learning_rate,
            config.precision,
        )
        pools = {}
        for name, entry in synthetic.items():
            pools[name] = _pool(entry.folder, training)
        if "image_augmentation" in chosen:
            pools["image_augmentation"] = _augmented(config, slices, train, max(amounts))
        rows, choices, networks = [], {}, {}
        for name in tqdm(chosen, "arms", unit="arm"):
            arm = ARMS[name]
            if arm.pooled:
                arm = with_pool(arm, pools[name])
            choice = trials.choose_amount(arm, training, held_out, amounts, settings, config.seed)
            networks[name] = choice.trained
            for one in choice.tried:
                threshold, scores = _threshold(one, validation), one.probabilities(test.features)
                rows += _predictions(arm, one.amount, one is choice.trained, threshold, test, scores)
                if one is choice.trained:
                    choices[name] = {"kind": arm.kind, "amount": _shown(one.amount), "threshold": threshold}
            choices[name]["tried"] = choice.table
        arm_table.write_predictions(stage.path / "predictions.csv", rows)
        measured = {
            name: _measure(pool, training, held_out, test, settings, config.seed, networks.get("none"))
            for name, pool in pools.items()
            if len(np.unique(pool.labels)) == len(GRADES)
        }
        for name in measured.keys() & synthetic.keys():
            figures = synthetic[name].record["figures"]
            if figures["acceptance"] is not None:  # of a cgan
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
            f"train_acgan and generate, or leave it out of --arms"
        )


def chosen_arms(config) -> tuple[str, ...]:
    """The arms of --arms in the order of the table; InputError where they cannot be compared."""
    cli.some_of("arms", config.arms, ARMS, at_least=0)
    if not any(ARMS[name].kind != "generative" for name in config.arms):
        raise InputError(f"--arms={','.join(config.arms)}: none to compare generated features with; add 'none'")
    return tuple(name for name in ARMS if name in config.arms)


def chosen_amounts(config) -> list[float]:
    """The amounts of --arm_amounts; InputError where they are none."""
    try:
        amounts = [float(text) for text in config.arm_amounts]
    except ValueError as error:
        raise InputError(f"--arm_amounts={','.join(config.arm_amounts)}: write numbers, such as 0,1,4") from error
    if not amounts or min(amounts) < 0 or not np.isfinite(amounts).all():
        raise InputError(f"--arm_amounts={','.join(config.arm_amounts)}: give at least one, each from 0 on")
    if len(set(map(_shown, amounts))) < len(amounts):
        raise InputError(f"--arm_amounts={','.join(config.arm_amounts)}: names one twice; give each once")
    return amounts


def _shown(amount: float | None) -> str:
    return "" if amount is None else f"{amount:g}"


def load(folder, split: str) -> Split:
    """All features of a split, in memory."""
    batches = list(streams.features(folder, split, 64).as_numpy_iterator())
    if not batches:
        raise InputError(f"{folder} holds no features of the split {split}; delete it so that its stage is done again")
    columns = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    return Split(columns["feature"], columns["label"], pipelines.text(columns["patient"]), columns["slice"])


def _pool(folder, training: classical.TrainingSet) -> classical.Samples:
    """A generator's features, of which there may be none: its filter may have confirmed not one."""
    if not len(open_features(folder, "synthetic")):
        logging.warning("%s holds no feature: its arm adds none in this fold", folder)
        return classical.Samples(np.zeros((0, *training.features.shape[1:]), np.float32), np.zeros(0, np.int64))
    synthetic = load(folder, "synthetic")
    return classical.Samples(synthetic.features, synthetic.labels)


def _augmented(config: Config, slices: Path, train: Split, amount: float) -> classical.Samples:
    """Features of the training slices, augmented as in Table 1: as many of each grade as the largest amount takes."""
    encode = inference.runner(encoders.encoder_of_run(Path(config.run_dir), config.precision))
    mode = AUGMENTATIONS[config.augmentation]
    wanted = classical.counts(train.labels, max(amount, _MEASURED))
    of_slices, random = np.array(Store(slices, "train").labels), np.random.default_rng(config.seed)
    features, labels, number = [], [], 0
    while any(wanted.values()):
        kept = np.zeros(len(of_slices), bool)  # what nobody would draw only fills the memory
        for label, count in wanted.items():
            own = random.permutation(np.flatnonzero(of_slices == label))[:count]
            kept[own], wanted[label] = True, count - len(own)
        for step, batch in enumerate(pipelines.slices(slices, "train", _BATCH)):
            rows = np.flatnonzero(kept[step * _BATCH : (step + 1) * _BATCH])
            if not len(rows):
                continue
            seed = tf.constant([config.seed, number * 2**20 + step])
            images, _ = mode.augment(batch["image"], batch["mask"], seed)
            features.append(encode(tf.gather(images, rows)))
            labels.append(batch["label"].numpy()[rows])
        number += 1
    return classical.Samples(np.concatenate(features), np.concatenate(labels))


def _threshold(network: trials.Trained, validation: Split) -> float:
    """The network's own threshold, by the validation patients."""
    probabilities = network.probabilities(validation.features)
    patients = classification.by_patient(validation.patients, validation.labels, probabilities)
    return classification.choose_threshold(*patients[1:])


def _predictions(arm: Arm, amount, chosen: bool, threshold: float, test: Split, scores: np.ndarray):
    """One row for each test slice."""
    for patient, position, label, score in zip(test.patients, test.slices, test.labels, scores):
        yield arm_table.Prediction(
            str(patient),
            int(position),
            GRADES[label],
            arm.name,
            arm.kind,
            _shown(amount),
            chosen,
            float(threshold),
            float(score),
        )


def _measure(
    pool: classical.Samples,
    training: classical.TrainingSet,
    validation: trials.Validation,
    test: Split,
    settings: trials.Settings,
    seed: int,
    real: trials.Trained | None,
) -> dict:
    """How good the features of a pool are, held against real ones of test patients."""
    wanted = classical.counts(training.labels, _MEASURED)
    few = {label: min(count, int(np.sum(pool.labels == label))) for label, count in wanted.items()}
    drawn = classical.from_pool(pool)(training, few, seed)
    parts = (training.features, test.features, drawn.features)
    near, far, made = (_pooled(features, training) for features in parts)
    found = {
        "kernel_distance": generative.kernel_distance(far, made),
        "frechet_distance": generative.frechet_distance(far, made),
        "kernel_distance_real": generative.kernel_distance(far, near),  # what real patients are apart
        "frechet_distance_real": generative.frechet_distance(far, near),
        **generative.precision_recall_density_coverage(far, made)._asdict(),
        "memorisation": generative.memorisation(near, training.patients, far, test.patients, made)._asdict(),
    }
    named = np.array([f"synthetic_{i}" for i in range(len(drawn.labels))])
    alone = classical.TrainingSet(drawn.features, drawn.labels, named, training.scale)
    network = trials.train(ARMS["none"], alone, validation, None, settings, seed)
    found["train_synthetic_test_real"] = _accuracy(test.labels, network.probabilities(test.features))
    if real is not None:
        found["train_real_test_synthetic"] = _accuracy(drawn.labels, real.probabilities(drawn.features))
    # Independent of the generator: another architecture, trained on real features alone.
    judge = trials.train(
        ARMS["none"], training, validation, None, dataclasses.replace(settings, kind="linear"), seed + 1
    )
    right = (judge.probabilities(drawn.features) > classification.THRESHOLD) == (drawn.labels == 1)
    found["class_accuracy_independent"] = float(np.mean(right))
    return found


def _pooled(features: np.ndarray, training: classical.TrainingSet) -> np.ndarray:
    """[n, channels]: scaled features, averaged over positions."""
    return training.scaled(features).mean(axis=(1, 2))


def _accuracy(labels: np.ndarray, probabilities: np.ndarray) -> float:
    return classification.measures(labels, probabilities)["balanced_accuracy"]


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, __doc__, stages.all_flags)


if __name__ == "__main__":
    main()
