"""Trains classifiers on real features, and on real + synthetic ones; tests them on real features only."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import tensorflow as tf
from absl import logging

from rembrandt_featgen import stages
from rembrandt_featgen.classification import map_networks
from rembrandt_featgen.cohort import patient_files
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core import cli, registry, rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data import pipelines
from rembrandt_featgen.evaluation import contrasts, predictions, study_report, verdicts
from rembrandt_featgen.evaluation.measure_rows import count_by_class
from rembrandt_featgen.evaluation.predictions import PredictionsTable
from rembrandt_featgen.features import scaling, streams
from rembrandt_featgen.features.reading import open_features
from rembrandt_featgen.generation import adding
from rembrandt_featgen.measures import decisions
from rembrandt_featgen.measures.classification import patient_log_loss
from rembrandt_featgen.measures.differences import MARGIN
from rembrandt_featgen.nn import (
    checkpointing,
    distribution,
    mixed_precision,
    optimizers,
    replicated,
    resumable_fit,
    sharding,
    tensorboard,
    worker_stages,
)
from rembrandt_featgen.stages import network_flags, shared_flags

ARMS = ("baseline", "augmented")
_BATCH = 64  # features that are predicted at a time
_KINDS_OF_ARM = {"baseline": "none", "augmented": "generative"}  # as the predictions table has them


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
    synthetic_added: int = cli.flag(
        1158,
        "Synthetic features in the augmented arm, equally many of each class (see --synthetic_to); 0 takes all.",
        minimum=0,
        source="paper, Table 3",
    )
    synthetic_to: str = cli.flag(
        adding.ALL,
        "Which classes get --synthetic_added: 'all', equally many each; one class, by its name; or the 'minority' "
        "class alone, at most until the classes are equal, which is then what 0 adds.",
    )
    classifier_arms: tuple[str, ...] = cli.flag(
        ARMS, "Arms that are trained; a report compares both, a point of a sweep may need one."
    )
    classifier_kinds: tuple[str, ...] = cli.flag(
        map_networks.KINDS, f"Classifiers that are trained, of {', '.join(map_networks.KINDS)}; a report needs all."
    )
    classifier_filters: int = network_flags.classifier_filters()
    classifier_units: int = network_flags.classifier_units()
    classifier_epochs: int = network_flags.classifier_epochs()
    classifier_batch: int = network_flags.classifier_batch()
    classifier_learning_rate: float = network_flags.classifier_learning_rate()
    classifier_patience: int = network_flags.classifier_patience()
    bootstrap_draws: int = shared_flags.bootstrap_draws()


def run(config: Config) -> None:
    """Writes run_dir/classifiers: a folder for each arm and kind, predictions.csv, and Table 3 in stage.json."""
    shared_flags.use_device(config)
    check(config)
    where = distribution.strategy(config.strategy)
    config = shared_flags.with_first_generator(config)
    (generator,) = config.generators
    extracted = rundir.find(config.run_dir, "extract_features")
    generated = rundir.find(config.run_dir, "generate_synthetic", generator)
    features, synthetic = extracted.folder, generated.folder
    shape, classes = tuple(extracted.record["figures"]["shape"]), Classes.of_record(extracted.record["classes"])
    cli.some_of("synthetic_to", (config.synthetic_to,), adding.receivers(classes))
    with worker_stages.open_stage(where, config, "train_classifiers", inputs=[extracted, generated]) as stage:
        if stage.done:
            return
        real, drawn = open_features(features, "train").labels, open_features(synthetic, "synthetic").labels
        try:
            numbers = adding.numbers(
                drawn, real, added=config.synthetic_added, receiver=config.synthetic_to, classes=classes
            )
        except ValueError as error:
            raise InputError(
                f"--synthetic_added={config.synthetic_added} --synthetic_to={config.synthetic_to}: {error} in "
                f"{synthetic}; lower it (0 takes all) or raise --synthetic_per_class and delete that folder"
            ) from error
        sources = {"baseline": [(features, "train", np.arange(len(real)))]}
        sources["augmented"] = [*sources["baseline"], (synthetic, "synthetic", numbers)]
        for arm in config.classifier_arms:
            sharding.check_batches(
                where,
                "--classifier_batch",
                config.classifier_batch,
                count=sum(len(chosen) for _, _, chosen in sources[arm]),
                validation=len(open_features(features, "validation")),
            )
        thresholds: dict[str, np.ndarray | None] = dict.fromkeys(ARMS)  # of two classes 0.5, as in the paper
        if classes.count > 2:
            learnt = {"baseline": real, "augmented": np.concatenate([real, drawn[numbers]])}
            thresholds |= {arm: decisions.prior(labels, classes.count) for arm, labels in learnt.items()}
        scale = scaling.root_mean_square(streams.features(features, "train", config.classifier_batch))
        np.save(stage.path / "scale.npy", scale)
        samples = {split: _samples(features, split) for split in ("validation", "test")}
        predicted: dict[str, list[PredictionsTable]] = {split: [] for split in samples}
        losses, patient_losses = {}, {}
        for kind in config.classifier_kinds:
            for arm in config.classifier_arms:
                architecture = map_networks.Architecture(
                    kind,
                    shape,
                    filters=config.classifier_filters,
                    units=config.classifier_units,
                    precision=config.precision,
                    num_classes=classes.count,
                )
                tf.keras.utils.set_random_seed(config.seed)
                build = functools.partial(map_networks.build_classifier, architecture, scale)
                with distribution.scope(where):
                    network = build()
                    losses[f"{arm}_{kind}"] = _train(
                        config, stage, network, name=f"{arm}_{kind}", sources=sources[arm], features=features
                    )
                network = replicated.on_one_device(
                    where, network, build=build, path=stage.path / f"{arm}_{kind}" / "best.npz"
                )
                for split, of_split in samples.items():  # validation first
                    scores = _probabilities(where, network, folder=features, split=split)
                    if split == "validation":
                        patient_losses[f"{arm}_{kind}"] = patient_log_loss(of_split.patients, of_split.labels, scores)
                    predicted[split].append(
                        predictions.rows(
                            of_split,
                            scores,
                            classes=classes,
                            arm=arm,
                            kind=_KINDS_OF_ARM[arm],
                            classifier=kind,
                            thresholds=thresholds[arm],
                            validation_loss=patient_losses.get(f"{arm}_{kind}", np.nan),
                            seed=config.seed,
                        )
                    )
        if not distribution.is_chief(where):
            return
        tables = {split: predictions.join(parts) for split, parts in predicted.items()}
        rows = {
            split: study_report.arm_rows(table, draws=config.bootstrap_draws, seed=config.seed)[0]
            for split, table in tables.items()
        }
        for row in [*rows["validation"], *rows["test"]]:
            row["synthetic"] = len(numbers) if row["arm"] == "augmented" else 0
        differences = {
            row["classifier"]: {
                "unit": "patient",
                "patients": row["n"],
                **row["difference"],
            }
            for row in rows["test"]
            if row.get("difference")
        }
        compared = contrasts.contrasts(tables["test"], draws=config.bootstrap_draws, seed=config.seed)
        predictions.write(stage.path / predictions.FILE, tables["test"])
        tensorboard.complete(
            stage,
            classification=rows["test"],
            validation=rows["validation"],
            comparison=differences,
            verdict=verdicts.sentence(compared, rows["test"][0]["n"], MARGIN),
            verdict_word=verdicts.word(compared),
            validation_loss=losses,
            patient_log_loss=patient_losses,  # of validation patients
            shape=list(shape),
            added=count_by_class(drawn[numbers], classes),
        )
        for row in rows["test"]:
            logging.info(
                "%-9s %-6s per %-7s balanced accuracy %.3f",
                row["arm"],
                row["classifier"],
                row["unit"],
                row["balanced_accuracy"],
            )


def check(config) -> None:
    """InputError for arms or classifiers that are not known, or named twice, whose training would be there twice."""
    for flag, known in (("classifier_arms", ARMS), ("classifier_kinds", map_networks.KINDS)):
        given = getattr(config, flag)
        once = cli.some_of(flag, given, known)
        if len(once) < len(given):
            raise InputError(f"--{flag}={','.join(given)} names one twice; write --{flag}={','.join(once)}")


def _train(config, stage, network, *, name, sources, features) -> float:
    """Trains one classifier, ends with its best epoch's weights, and returns its lowest validation loss."""
    folder, count = stage.path / name, sum(len(numbers) for _, _, numbers in sources)
    folder.mkdir(exist_ok=True)
    optimizer = mixed_precision.scaled(mixed_precision.adam(config.classifier_learning_rate), config.precision)
    trainable, loss = map_networks.for_training(network)
    trainable = replicated.replicated(trainable, config.seed)
    auroc = [tf.keras.metrics.AUC(name="auroc")] if loss == "binary_crossentropy" else []
    trainable.compile(optimizer, loss, ["accuracy", *auroc])
    optimizers.make_variables(trainable, tf.zeros([1], tf.int64), tf.zeros([1, *trainable.output_shape[1:]]))
    trained = resumable_fit.fit(
        trainable,
        make_epoch=streams.labelled_features(sources, config.classifier_batch),
        steps=pipelines.steps_per_epoch(count, config.classifier_batch),
        epochs=config.classifier_epochs,
        validation=streams.feature_pairs(features, "validation", config.classifier_batch),
        checkpointing=checkpointing.Checkpointing(
            folder,
            trainable,
            monitor="val_loss",
            mode="min",
            patience=config.classifier_patience,
            seconds=checkpointing.SAVE_SECONDS,
        ),
        logs=stage.logs / name,
        title=name,
        seed=config.seed,
    )
    return min(trained["history"]["val_loss"])


def _probabilities(where, network, *, folder, split) -> np.ndarray:
    """[n, classes] of the features of a split."""
    model, _ = map_networks.for_training(network)
    batches = streams.feature_pairs(folder, split, _BATCH)
    p = sharding.rows_of(where, lambda some: model.predict(some, verbose=0), batches, size=_BATCH).astype(np.float64)
    return decisions.two_columns(p[:, 0]) if p.shape[1] == 1 else p


def _samples(folder, split) -> predictions.Samples:
    """Patient, position and label of each feature of a split; group and site as its run's slices know them."""
    stored = open_features(folder, split)
    found = predictions.Samples(np.array(stored.patients), stored.positions, stored.labels.astype(int))
    slices = folder.parent / registry.folder("prepare_slices")
    if not (slices / patient_files.FILE).exists():
        return found
    known = patient_files.read_patients(slices)
    groups, sites = ([column[patient] for patient in stored.patients] for column in (known.group, known.site))
    return found._replace(groups=np.array(groups), sites=np.array(sites))


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, about=__doc__, known_elsewhere=stages.all_flags)


if __name__ == "__main__":
    main()
