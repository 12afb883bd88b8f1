"""Features that a discriminator accepts, and those that an independent judge accepts."""

import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.core import json_files, rundir
from rembrandt_featgen.data.store import Store
from rembrandt_featgen.evaluation import run_features
from rembrandt_featgen.generation import gan_export
from rembrandt_featgen.stages import generate_synthetic
from tests.evaluation.test_run_judges import NAMES, SHAPE, write_run


class Planted:
    """Draws a class's features with a chance of `truth`, else another's; its own head knows all by a mark."""

    can_refuse = True

    def __init__(self, truth):
        self.truth = truth

    def noise(self, count, seed):
        return tf.random.stateless_uniform([count, 2], seed)

    def draw(self, noise, labels):
        other = (labels + 1 + tf.cast(noise[:, 1] > 0.5, tf.int32)) % 3
        channels = tf.one_hot(tf.where(noise[:, 0] < self.truth, labels, other), 4) * 1.5 + 0.8
        features = tf.tile(channels[:, None, None], [1, *SHAPE[:2], 1])
        return features, tf.ones_like(labels, tf.bool)


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """From (truth of the generator, what accepts) to the run and the figures of its features."""

    def generate(truth, accept_by, kind="acgan"):
        run_dir = tmp_path_factory.mktemp("run")
        write_run(run_dir)
        (run_dir / f"generator_{kind}").mkdir()
        features = json_files.read_json(run_dir / "features" / rundir.RECORD)
        features["config"] = {"store_dtype": "float32", "store_codec": "none"}
        json_files.write_json(run_dir / "features" / rundir.RECORD, features)
        json_files.write_json(run_dir / f"generator_{kind}" / rundir.RECORD, {**features, "inputs": {}})
        with pytest.MonkeyPatch.context() as patch:
            planted = Planted(truth)
            planted.can_refuse = kind != "cgan"
            patch.setattr(gan_export, "restore_gan", lambda *_: planted)
            generate_synthetic.run(
                generate_synthetic.Config(
                    str(run_dir), generators=(kind,), synthetic_per_class=40, generate_batch=20, accept_by=accept_by
                )
            )
        record = json_files.read_json(run_dir / f"synthetic_{kind}" / rundir.RECORD)
        return run_dir, record

    return generate


def test_a_judge_finds_out_that_samples_have_no_class(generated):
    """Planted: a third of each class is of it, and the discriminator agrees with whatever the generator does."""
    _, colluding = generated(1 / 3, "discriminator")
    assert (colluding["figures"]["class_accuracy"], colluding["figures"]["judge"]) == (1.0, None)
    run_dir, judged = generated(1 / 3, "judge")
    figures = judged["figures"]
    assert judged["inputs"].keys() == {"generator_acgan", "features"}
    assert figures["class_accuracy"] == 1.0  # of the discriminator, as ever
    assert np.mean(list(figures["acceptance"].values())) == pytest.approx(1 / 3, abs=0.12)
    assert figures["judge"]["test"]["accuracy"] > 0.95
    assert np.mean(list(figures["judge"]["probability"].values())) == pytest.approx(1 / 3, abs=0.12)
    store = Store(run_dir / "synthetic_acgan", "synthetic")
    kept = np.stack([record["feature"].numpy() for record in store.dataset()])
    assert kept.mean((1, 2))[:, :3].argmax(1).tolist() == store.labels.tolist()
    assert np.bincount(store.labels).tolist() == [40, 40, 40]


def test_what_is_of_its_class_is_accepted_as_often_as_real_features_are(generated):
    _, judged = generated(1.0, "judge")
    figures = judged["figures"]
    real = figures["judge"]["test"]["recall"]
    assert all(figures["acceptance"][name] >= real[name] - 0.05 for name in NAMES)


def test_one_judge_for_all_kinds(tmp_path, monkeypatch):
    write_run(tmp_path)
    features = json_files.read_json(tmp_path / "features" / rundir.RECORD)
    features["config"] = {"store_dtype": "float32", "store_codec": "none"}
    json_files.write_json(tmp_path / "features" / rundir.RECORD, features)
    kinds, seeds = ("acgan", "infogan"), []
    for kind in kinds:
        (tmp_path / f"generator_{kind}").mkdir()
        json_files.write_json(tmp_path / f"generator_{kind}" / rundir.RECORD, {**features, "inputs": {}})
    train = generate_synthetic.run_judges.judge_of_run
    monkeypatch.setattr(gan_export, "restore_gan", lambda *_: Planted(1.0))
    monkeypatch.setattr(
        generate_synthetic.run_judges, "judge_of_run", lambda folder, seed: seeds.append(seed) or train(folder, seed)
    )
    config = generate_synthetic.Config(
        str(tmp_path), seed=3, generators=kinds, synthetic_per_class=4, generate_batch=20, accept_by="judge"
    )
    for _ in range(2):  # the second time all is done
        generate_synthetic.run(config)
        assert seeds == [3]
    said = [json_files.read_json(tmp_path / f"synthetic_{kind}" / rundir.RECORD)["figures"]["judge"] for kind in kinds]
    assert said[0]["test"] == said[1]["test"]


def test_a_generator_without_a_classifier_can_be_judged(generated):
    run_dir, judged = generated(1 / 3, "judge", kind="cgan")
    figures = judged["figures"]
    assert figures["class_accuracy"] is None and set(figures["acceptance"]) == set(NAMES)
    said = run_features._said(figures)
    assert said["acceptance"] == figures["acceptance"] and "class_accuracy_own" not in said
    assert said["judge_accuracy_real"] == figures["judge"]["test"]["accuracy"]
    assert run_features._said({"class_accuracy": None, "acceptance": None}) == {}
