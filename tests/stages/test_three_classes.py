"""Stages from features to predictions, where there are three classes."""

import numpy as np
import pytest

from rembrandt_featgen.cohort import patient_files
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core import json_files, rundir
from rembrandt_featgen.data.store_writer import Writer
from rembrandt_featgen.evaluation import predictions
from rembrandt_featgen.measures import decisions
from rembrandt_featgen.reporting import run_report
from rembrandt_featgen.stages import evaluate_features, generate_synthetic, train_classifiers, train_generators

SHAPE = (4, 4, 3)
CLASSES = Classes.of(("glioma", "meningioma", "pituitary"))
COUNTS = {"train": (8, 4, 4), "validation": (3, 3, 3), "test": (3, 3, 3)}  # patients of each class, two slices each


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """A run with classifiers and arms, from features in which each class fires a channel of its own."""
    path = tmp_path_factory.mktemp("three")
    random, features = np.random.default_rng(0), path / "features"
    for folder in (features, path / "slices", path / "unet"):
        folder.mkdir()
    for split, counts in COUNTS.items():
        with Writer(features, split, {"feature": (SHAPE, "float32")}) as writer:
            for label, count in enumerate(counts):
                for position in range(2 * count):
                    feature = random.uniform(0.0, 0.3, SHAPE) + np.eye(3)[label]
                    writer.write(
                        {"feature": feature.astype(np.float32)},
                        f"{split}_{label}_{position // 2}",
                        slice_index=position % 2,
                        label=label,
                    )
    names = [f"{split}_{label}_{i}" for split in COUNTS for label in range(3) for i in range(COUNTS[split][label])]
    lines = ["patient,group,site", *(f"{name},{name}," for name in names)]
    (path / "slices" / patient_files.FILE).write_text("\n".join(lines) + "\n")
    record = {"config": {"store_dtype": "float16", "store_codec": "none"}, "figures": {}, "inputs": {}}
    counts = {split: 2 * sum(COUNTS[split]) for split in COUNTS}
    record["figures"] = {"shape": SHAPE, "features": counts}
    record["classes"] = CLASSES.record
    for folder in (features, path / "slices", path / "unet"):
        json_files.write_json(folder / rundir.RECORD, record)
    tiny = {"classifier_filters": 4, "classifier_units": 4, "classifier_epochs": 8, "classifier_learning_rate": 0.02}
    train_generators.run(
        train_generators.Config(str(path), generators=("cgan",), ndf=4, ngf=4, gan_latent=3, gan_epochs=1, gan_batch=9)
    )
    generate_synthetic.run(generate_synthetic.Config(str(path), generators=("cgan",), synthetic_per_class=4))
    train_classifiers.run(
        train_classifiers.Config(
            str(path),
            generators=("cgan",),
            synthetic_added=0,
            classifier_kinds=("linear",),
            bootstrap_draws=100,
            **tiny,
        )
    )
    arms = ("none", "class_weights", "smote", "mixup", "cgan")
    settings = {"classifiers": ("cnn",), "trainings": 1, "bootstrap_draws": 100}
    evaluate_features.run(evaluate_features.Config(str(path), arms=arms, arm_amounts=("0",), **settings, **tiny))
    return path


def test_classifiers_learn_and_decide_relative_to_the_training_prior(run_dir):
    table = predictions.read(run_dir / "classifiers" / predictions.FILE)
    assert table.classes == CLASSES
    assert len(table) == 2 * 18
    for (arm, _), rows in table.split("arm", "classifier"):
        added = 4 if arm == "augmented" else 0
        shares = decisions.prior(np.repeat(range(3), [16 + added, 8 + added, 8 + added]), 3)
        np.testing.assert_allclose(rows.thresholds, np.tile(shares, (18, 1)))
    baseline = table.select(arm="baseline", classifier="linear")
    assert np.mean(decisions.decide(baseline.probabilities, baseline.thresholds) == baseline.label) > 0.8
    figures = json_files.read_json(run_dir / "classifiers" / rundir.RECORD)["figures"]
    row = next(row for row in figures["classification"] if (row["unit"], row["classifier"]) == ("patient", "linear"))
    assert set(row["accuracy"]) == {*CLASSES.names, "total"}
    assert row["auroc"] == pytest.approx(np.mean(list(row["auroc_by_class"].values())))


def test_arms_have_predictions_of_all_classes(run_dir):
    table = predictions.read(run_dir / "study" / predictions.FILE)
    assert {key[0] for key, _ in table.split("arm")} == {
        "none", "class_weights", "smote", "mixup", "cgan"
    }  # fmt: skip
    np.testing.assert_allclose(table.probabilities.sum(axis=1), 1.0)
    for name in ("none", "class_weights"):  # probabilities are at the shares of the real samples, with one more of each
        np.testing.assert_allclose(table.select(arm=name).thresholds[0], np.array([17, 9, 9]) / 35)
    for (arm,), rows in table.split("arm"):
        decided = decisions.decide(rows.probabilities, rows.thresholds)
        assert np.mean(decided == rows.label) > 0.5, arm


def test_probabilities_of_true_classes_are_shown(run_dir):
    by_arm, truths = run_report._patient_probabilities(run_dir / "classifiers" / predictions.FILE, CLASSES)
    assert truths == [name for name in CLASSES.names for _ in range(3)]
    table = predictions.read(run_dir / "classifiers" / predictions.FILE).select(arm="augmented")
    _, labels, p = table.by_patient()
    np.testing.assert_array_equal(by_arm["augmented, linear"], p[np.arange(9), labels])
