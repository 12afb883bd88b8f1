"""Trains classifiers of grade on real features, and on real + synthetic ones; tests them on real features only."""

from __future__ import annotations

import csv
import dataclasses

import numpy as np
import tensorflow as tf
from absl import logging

from rembrandt_featgen import cli, rundir, stages
from rembrandt_featgen.cohort.layouts import GRADES
from rembrandt_featgen.errors import InputError
from rembrandt_featgen.models import classifier as classifiers
from rembrandt_featgen.models import precision as precisions
from rembrandt_featgen.stages import fields
from rembrandt_featgen.training import callbacks, comparison, datasets, loops, scaling
from rembrandt_featgen.training.features import open_features

FOLDER = "classifier"
ARMS = ("baseline", "augmented")


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the stage."""

    run_dir: str = fields.run_dir()
    seed: int = fields.seed()
    precision: str = fields.precision()
    gans: tuple[str, ...] = fields.gans()
    synthetic_added: int = cli.flag(
        1158,
        "Synthetic features in the augmented arm, half of each grade; 0 takes all.",
        minimum=0,
        source="paper, Table 3",
    )
    classifier_filters: int = fields.classifier_filters()
    classifier_units: int = fields.classifier_units()
    classifier_epochs: int = fields.classifier_epochs()
    classifier_batch: int = fields.classifier_batch()
    classifier_learning_rate: float = fields.classifier_learning_rate()
    classifier_patience: int = fields.classifier_patience()
    bootstrap_draws: int = fields.bootstrap_draws()


def run(config: Config) -> None:
    """Writes run_dir/classifier: a folder for each arm and kind, predictions.csv, and Table 3 in stage.json."""
    features, record, digest = rundir.find(config.run_dir, "features", "extract")
    config = dataclasses.replace(config, gans=fields.check_gans(config)[:1])  # others may be added without harm
    folder = fields.synthetic_folder(*config.gans)
    synthetic, _, synthetic_digest = rundir.find(config.run_dir, folder, "generate")
    with rundir.open_stage(config, FOLDER, {"features": digest, folder: synthetic_digest}) as stage:
        if stage.done:
            return
        available = len(open_features(synthetic, "synthetic"))
        if config.synthetic_added > available:
            raise InputError(
                f"--synthetic_added={config.synthetic_added}, but {synthetic} holds {available}; "
                "lower it (0 takes all) or raise --synthetic_per_grade and delete that folder"
            )
        added = config.synthetic_added or available
        real = (features, "train", len(open_features(features, "train")))
        sources = {"baseline": [real], "augmented": [real, (synthetic, "synthetic", added)]}
        scale = scaling.root_mean_square(datasets.features(features, "train", config.classifier_batch))
        np.save(stage.path / "scale.npy", scale)
        test = _keys(features, "test")
        rows, probabilities, losses = [], {}, {}
        for kind in classifiers.KINDS:
            for arm in ARMS:
                network, losses[f"{arm}_{kind}"] = _train(
                    config, stage, kind, arm, sources[arm], features, tuple(record["figures"]["shape"]), scale
                )
                scores = network.predict(datasets.feature_pairs(features, "test", 64), verbose=0)[:, 0]
                probabilities[arm, kind] = scores
                rows += comparison.table_rows(
                    {"arm": arm, "classifier": kind, "synthetic": added if arm == "augmented" else 0},
                    *test,
                    scores,
                    config.bootstrap_draws,
                    config.seed,
                )
        differences = {
            kind: comparison.difference(
                *test,
                probabilities["baseline", kind],
                probabilities["augmented", kind],
                config.bootstrap_draws,
                config.seed,
            )
            for kind in classifiers.KINDS
        }
        _write_predictions(stage.path / "predictions.csv", *test, probabilities)
        stage.complete(
            classification=rows, comparison=differences, validation_loss=losses, shape=record["figures"]["shape"]
        )
        for row in rows:
            logging.info(
                "%-9s %-6s per %-7s balanced accuracy %.3f",
                row["arm"],
                row["classifier"],
                row["unit"],
                row["balanced_accuracy"],
            )


def _train(config, stage, kind, arm, sources, features, shape, scale):
    """Trains one classifier; returns it with its best epoch's weights, and its best validation loss."""
    datasets.set_seed(config.seed)
    folder = stage.path / f"{arm}_{kind}"
    folder.mkdir(exist_ok=True)
    network = classifiers.build_classifier(
        kind, shape, scale, config.classifier_filters, config.classifier_units, config.precision
    )
    optimizer = precisions.scaled(tf.keras.optimizers.Adam(config.classifier_learning_rate), config.precision)
    network.compile(optimizer, "binary_crossentropy", ["accuracy", tf.keras.metrics.AUC(name="auroc")])
    trained = loops.fit(
        network,
        datasets.labelled_features(sources, config.classifier_batch),
        datasets.steps_per_epoch(sum(count for _, _, count in sources), config.classifier_batch),
        config.classifier_epochs,
        datasets.feature_pairs(features, "validation", config.classifier_batch),
        callbacks.Checkpointing(folder, network, "val_loss", "min", config.classifier_patience, fields.SAVE_SECONDS),
        stage.logs / folder.name,
        f"{kind} {arm}",
        config.seed,
    )
    return network, min(trained["history"]["val_loss"])


def _keys(folder, split):
    """Patients and labels of each feature of a split."""
    found = open_features(folder, split)
    return np.array(found.patients), found.labels.astype(int)


def _write_predictions(path, patients, labels, probabilities):
    """One line for each test slice, arm and classifier."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["patient", "grade", "arm", "classifier", "probability_hgg"])
        for (arm, kind), scores in probabilities.items():
            for patient, label, score in zip(patients, labels, scores):
                writer.writerow([patient, GRADES[label], arm, kind, f"{score:.6f}"])


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, __doc__, stages.all_flags)


if __name__ == "__main__":
    main()
