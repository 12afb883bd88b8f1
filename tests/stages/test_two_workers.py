"""Two processes that talk over the loopback, as two hosts would: the chief alone writes, and writes what one would."""

import json
import shutil
import sys

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from rembrandt_featgen.core import json_files
from rembrandt_featgen.data import pipelines, truth
from rembrandt_featgen.data.store_writer import Writer
from rembrandt_featgen.nn import inference, weights
from rembrandt_featgen.segmentation import losses, scoring, unet_callbacks
from rembrandt_featgen.segmentation.unet import build_unet
from rembrandt_featgen.stages import extract_features, train_classifiers, train_unet
from tests.stages.two_workers import CLASSIFIERS, UNET
from tools import worker_processes

SIZE = 32
CLASSES = {"names": ["LGG", "HGG"], "positive": "HGG"}


def run_with_slices(folder):
    """A run that has slices, a U-Net and synthetic features."""
    random = np.random.default_rng(0)
    for name, config, figures in (
        ("slices", {}, {"channels": ["flair"], "image_size": SIZE}),
        ("unet", {"unet_width": 2}, {}),
        ("synthetic_acgan", {}, {}),
    ):
        (folder / name).mkdir(parents=True)
        record = {"config": config, "figures": figures, "inputs": {}, "classes": CLASSES}
        json_files.write_json(folder / name / "stage.json", record)
    for split, count in {"train": 600, "validation": 140, "test": 6}.items():  # three shards of features, one, one
        with Writer(folder / "slices", split, {"image": ((SIZE, SIZE, 1), "float32")}) as writer:
            for number in range(count):
                image = random.normal(size=(SIZE, SIZE, 1)) * (1 + number % 2)
                writer.write({"image": image}, f"{split} {number}", slice_index=0, label=number % 2)
    with Writer(folder / "synthetic_acgan", "synthetic", {"feature": ((2, 2, 32), "float32")}) as writer:
        for number in range(4):
            writer.write({"feature": np.ones((2, 2, 32))}, str(number), slice_index=0, label=number % 2)
    tf.keras.utils.set_random_seed(1)
    weights.save(build_unet(1, 2).get_weights(), folder / "unet" / "best.npz")
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory, prepared):
    """What one worker and two make of the same."""
    root = tmp_path_factory.mktemp("workers")
    run_with_slices(root / "features")
    shutil.copytree(prepared, root / "unet")
    for name in ("features", "unet"):
        shutil.copytree(root / name, root / f"{name}_of_one")
    for name in ("decisions0", "decisions1", "external"):
        (root / name).mkdir()
    row = {"patient": "C", "probabilities": [[0.5, 0.5]], "empty": False}
    (root / "external" / "patients-1.jsonl").write_text(f"{json.dumps(row)}\n")
    command = [sys.executable, "-m", "tests.stages.two_workers", str(root)]
    workers = worker_processes.start([command] * 2, root / "log")
    try:
        one = str(root / "features_of_one")
        extract_features.run(extract_features.Config(one, extract_batch=7))
        train_classifiers.run(train_classifiers.Config(one, **CLASSIFIERS))
        train_unet.run(train_unet.Config(str(root / "unet_of_one"), **UNET))
        codes = worker_processes.ended(workers, timeout=400)
    finally:
        worker_processes.kill(workers)
    said = [worker_processes.log_of(root / "log", number).read_text()[-3000:] for number in range(2)]
    assert codes == [0, 0], "\n".join(said)
    return root


@pytest.fixture(scope="module")
def said(root):
    return [json.loads((root / f"said{number}.json").read_text()) for number in range(2)]


def test_all_learn_what_each_has(said):
    both = [{"number": 0, "values": [0.1]}, {"number": 1, "values": [1.1, 1.1]}]
    assert said[0]["gathered"] == said[1]["gathered"] == both
    wanted = (np.arange(11, dtype=np.float32) / 3).tolist()
    assert said[0]["rows"] == said[1]["rows"] == wanted


def test_the_chiefs_logs_choose_the_epoch_and_the_end_of_all(said):
    for worker in said:
        assert worker["decisions"]["history"] == {"epoch": [0, 1, 2, 3], "own": [0, 0.5, 1, 1.5]}
        assert worker["decisions"]["best_epoch"] == 3


def test_patients_of_another_cohort_are_shared_and_resumed(said, root):
    first, second = (worker["external"] for worker in said)
    assert (first["done"], second["done"]) == (["A", "D", "F"], ["B", "E", "G"])
    assert first["rows"] == second["rows"]
    patients, probabilities = first["rows"]
    assert patients == list("ABCDEFG")
    assert probabilities == [[0.25, 1], [0.25, 1], [0.5, 0.5], [0.25, 2], [0.25, 2], [0.25, 3], [0.25, 3]]
    kept = [json.loads(line)["patient"] for line in (root / "external" / "patients.jsonl").read_text().splitlines()]
    assert kept == ["C", "A", "D", "F"]


def test_two_workers_extract_the_bytes_of_one(said, root):
    assert [worker["features"] for worker in said] == ["", ""]
    folders = [root / name / "features" for name in ("features", "features_of_one")]
    names = [sorted(path.name for path in folder.iterdir()) for folder in folders]
    assert names[0] == names[1] and len([name for name in names[0] if name.startswith("train-")]) == 3
    for name in names[0]:
        if name not in ("stage.json", "flags.txt"):
            assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes(), name


def test_others_learn_that_the_chief_has_stopped(said):
    """Whose features are of other settings."""
    chief, other = (worker["features_of_other_settings"] for worker in said)
    assert "--extract_batch=7 (now 6)" in chief
    assert "worker 1 of 2: the chief, worker 0, has stopped" in other


def test_two_workers_train_the_classifiers_of_one(root):
    of_two, of_one = (
        pd.read_csv(root / run / "classifiers/predictions.csv") for run in ("features", "features_of_one")
    )
    assert of_two.columns.tolist() == of_one.columns.tolist() and len(of_two) == len(of_one) > 6
    np.testing.assert_allclose(of_two["p_HGG"], of_one["p_HGG"], atol=1e-3)
    assert of_one["p_HGG"].std() > 1e-2
    assert of_two["patient"].tolist() == of_one["patient"].tolist()


def test_two_workers_train_the_unet_of_one(root):
    of_two, of_one = (json_files.read_json(root / run / "unet/history.json") for run in ("unet", "unet_of_one"))
    assert set(of_two) == set(of_one)
    for name in ("loss", "val_loss", "val_volume_dice"):
        np.testing.assert_allclose(of_two[name], of_one[name], atol=1e-3)
    assert np.ptp(of_one["loss"]) > 1e-2


def test_two_workers_measure_what_one_would(root):
    """Validation, and the table of all patients, by the weights that they end with: to the last bit."""
    slices, record = root / "unet" / "slices", json_files.read_json(root / "unet" / "unet" / "stage.json")
    unet = build_unet(1, 2, norm="batch")
    weights.load(unet, root / "unet" / "unet" / "best.npz")
    for split in ("train", "validation", "test"):
        wanted = scoring.evaluate(
            inference.runner(unet),
            pipelines.slices(slices, split, UNET["unet_batch"]),
            truth.truths(slices, split),
            in_mm=split == "test",
        )
        assert record["figures"]["segmentation"][split] == json_files.plain(wanted)
    history, logs = json_files.read_json(root / "unet" / "unet" / "history.json"), {}
    unet_callbacks.Validation(unet, losses.batch_soft_dice_loss, folder=slices, batch=UNET["unet_batch"]).on_epoch_end(
        0, logs
    )
    del logs["val_loss"]  # which has cross-entropy, too
    assert logs == {name: history[name][record["figures"]["best_epoch"]] for name in logs}
