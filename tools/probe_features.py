"""Measures how well features of a study's U-Nets separate the classes: each tap, averaged over the slice or the tumour.

In each fold of the first seed, logistic regression learns from the training patients' slices; its regularisation is
chosen by the validation patients. "Over the tumour" weights positions by the U-Net's probability of tumour. Choose a
tap by the columns of the validation patients; those of the test patients are for the record.

.venv/bin/python tools/probe_features.py --run_dir=runs/study
"""

import dataclasses
from pathlib import Path

import numpy as np
import tensorflow as tf
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from rembrandt_featgen.cohort import splits
from rembrandt_featgen.core import cli, json_files, registry, rundir
from rembrandt_featgen.data import pipelines
from rembrandt_featgen.measures import classification
from rembrandt_featgen.segmentation import unet_export
from rembrandt_featgen.segmentation.unet import TAPS, block_output

STRENGTHS = (0.001, 0.01, 0.1, 1.0)  # inverse regularisation


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the tool."""

    run_dir: str = cli.flag("", "Folder of a finished study (stages.crossvalidate).", required=True)


def run(config: Config) -> None:
    """Prints a Markdown table, and writes it to run_dir/probe.md and probe.json."""
    folds = rundir.find(config.run_dir, "assign_folds").record["figures"]["folds"]
    first = folds[0]
    chosen = [fold for fold in folds if (fold["repeat"], fold["seed"]) == (first["repeat"], first["seed"])]
    scores: dict[tuple[str, str], dict[str, list]] = {}
    for fold in tqdm(chosen, "folds", unit="fold"):
        data = _features(Path(config.run_dir) / registry.FOLD_RUNS / fold["name"])
        for source in data["train"][0]:
            parts = scores.setdefault(source, {"validation": [], "test": []})
            network = _fit(data, source)
            for split in parts:
                features, labels, patients = data[split]
                probabilities = network.predict_proba(features[source])[:, 1]
                parts[split].append(classification.by_patient(patients, labels, probabilities)[1:])
    rows = []
    for (tap, pooling), parts in scores.items():
        row: dict = {"tap": tap, "averaged_over": pooling}
        for split, results in parts.items():
            # Validation patients recur in several folds, so that their measures are means over folds.
            each = [classification.measures(labels, probabilities) for labels, probabilities in results]
            labels, probabilities = (np.concatenate(column) for column in zip(*results))
            pooled = classification.measures(labels, probabilities)
            for name in ("balanced_accuracy", "auroc"):
                mean = float(np.nanmean([one[name] for one in each]))
                row[f"{split}_{name}"] = mean if split == "validation" else pooled[name]
        rows.append(row)
    json_files.write_json(Path(config.run_dir) / "probe.json", rows)
    head = "| tap | averaged over | validation balanced accuracy | AUROC | test balanced accuracy | AUROC |"
    lines = [head, "|---|---|---|---|---|---|"]
    for row in rows:
        numbers = [f"{value:.3f}" for value in row.values() if isinstance(value, float)]
        lines.append(f"| {row['tap']} | {row['averaged_over']} | {' | '.join(numbers)} |")
    (Path(config.run_dir) / "probe.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def _features(home: Path):
    """Split to ({(tap, pooling): [slices, d]}, labels, patients) of one fold."""
    records = {name: json_files.read_json(home / name / rundir.RECORD) for name in ("slices", "unet")}
    unet = unet_export.restore_unet(
        home / "unet", config=records["unet"]["config"], slices=records["slices"], precision="float32"
    )
    outputs = {tap: block_output(unet, tap) for tap in TAPS}
    network = tf.keras.Model(unet.input, {**outputs, "tumour": unet.output})
    by_split = {}
    for split in splits.SPLITS:
        columns: dict[tuple[str, str], list] = {}
        labels, patients = [], []
        for batch in pipelines.slices(home / "slices", split, 16):
            maps = network(batch["image"], training=False)
            tumour = maps["tumour"]  # [batch, height, width, 1]
            area = tf.reduce_mean(tumour, (1, 2))
            columns.setdefault(("tumour area", "slice"), []).append(tf.math.log(area + 1e-6).numpy())
            for tap in TAPS:
                feature = maps[tap]
                weight = tf.image.resize(tumour, feature.shape[1:3], "area") + 1e-6
                inside = tf.reduce_sum(feature * weight, (1, 2)) / tf.reduce_sum(weight, (1, 2))
                columns.setdefault((tap, "slice"), []).append(tf.reduce_mean(feature, (1, 2)).numpy())
                columns.setdefault((tap, "tumour"), []).append(inside.numpy())
            labels.append(batch["label"].numpy())
            patients.append(batch["patient"].numpy().astype(str))
        joined = {source: np.concatenate(parts) for source, parts in columns.items()}
        by_split[split] = joined, np.concatenate(labels), np.concatenate(patients)
    return by_split


def _fit(data, source):
    """The regression whose regularisation gives the validation patients the lowest Brier score."""
    best, least = None, np.inf
    for strength in STRENGTHS:
        features, labels, _ = data["train"]
        regression = LogisticRegression(C=strength, class_weight="balanced", max_iter=2000)
        network = make_pipeline(StandardScaler(), regression).fit(features[source], labels)
        features, labels, patients = data["validation"]
        probabilities = network.predict_proba(features[source])[:, 1]
        loss = classification.measures(*classification.by_patient(patients, labels, probabilities)[1:])["brier"]
        if loss < least:
            best, least = network, loss
    return best


if __name__ == "__main__":
    cli.main(Config, run, about=__doc__)
