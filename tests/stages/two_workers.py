"""What each of two worker processes does, one thing after another, and says as JSON in a file; see test_two_workers."""

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import tensorflow as tf

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.cohort.patients import Cohort, Patient
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import external_cohort
from rembrandt_featgen.nn import distribution, resumable_fit, sharding
from rembrandt_featgen.nn.checkpointing import Checkpointing
from rembrandt_featgen.stages import extract_features, shared_flags, train_classifiers, train_unet

WORKER = json.loads(os.environ.get("TF_CONFIG", '{"task": {"index": 0}}'))["task"]["index"]
UNET = {"unet_width": 2, "unet_epochs": 2, "unet_batch": 2, "unet_sampling": "patients", "unet_norm": "batch"}
UNET |= {"unet_learning_rate": 0.01, "augment": False, "seed": 3}  # three batches of validation slices
CLASSIFIERS = {"classifier_kinds": ("linear",), "classifier_epochs": 2, "classifier_batch": 100, "synthetic_added": 0}


class SaysItsNumber(tf.keras.Model):
    """Whose log differs by worker, as rounding may make one differ."""

    def __init__(self):
        super().__init__()
        self.weight = tf.Variable(1.0)

    def call(self, x):
        return x * self.weight

    def train_step(self, data):
        return {"epoch": tf.reduce_max(data), "own": (0.5 - WORKER) * tf.reduce_max(data)}


def decisions(where, folder):
    """Worker 0 sees a log that rises, worker 1 one that falls: it would stop after the second epoch."""
    with distribution.scope(where):
        model = SaysItsNumber()
        model.compile("sgd")
        trained = resumable_fit.fit(
            model,
            make_epoch=lambda key: tf.data.Dataset.from_tensors(tf.fill([4, 1], tf.cast(key[1], tf.float32))),
            steps=1,
            epochs=4,
            validation=None,
            checkpointing=Checkpointing(folder, model, monitor="own", patience=1),
            logs=folder,
            title="",
            seed=0,
        )
    return {"history": trained["history"], "best_epoch": trained["best_epoch"]}


def external(where, folder):
    """Predicts seven patients, of whom one was done before by another worker."""
    done = []

    def predicted(model, unet, volumes, batch):
        (name,) = volumes
        done.append(name)
        return SimpleNamespace(mask=np.ones(1), prepared=None, warnings=[]), np.array([[0.25, len(done)]])

    external_cohort.exported_unet.load = lambda folder: SimpleNamespace(
        reading=SimpleNamespace(for_new=lambda geometry: None)
    )
    external_cohort.read_volumes = lambda paths, flag, reading: paths
    external_cohort.final_unet.read_fingerprints = external_cohort.volume_vectors.fingerprint = lambda *_: None
    external_cohort.final_unet.refuse_copies = lambda *_: None
    external_cohort._predicted = predicted
    external_cohort.external_report.predicted_rows = lambda model, samples, p: [samples.patients.tolist(), p.tolist()]
    cohort = Cohort([Patient(n, "a", {"t1": n}, None) for n in "ABCDEFG"], Classes.of(("a", "b")))
    rows = external_cohort.predict(
        cohort, SimpleNamespace(modalities=("t1",)), folder, journal=folder / "patients.jsonl", batch=1, where=where
    )
    return {"done": done, "rows": rows}


def extracted(run, batch):
    try:
        extract_features.run(extract_features.Config(str(run), extract_batch=batch, strategy="multi_worker"))
        return ""
    except InputError as error:
        return str(error)


def main(root):
    shared_flags.use_device(extract_features.Config(""))
    where = distribution.strategy("multi_worker")
    batches = tf.data.Dataset.range(11, output_type=tf.float32).batch(2)
    rows = sharding.rows_of(where, lambda some: np.concatenate([b.numpy() for b in some])[:, None] / 3, batches, size=2)
    said = {
        "gathered": sharding.gathered(where, {"number": WORKER, "values": [0.1 + WORKER] * (1 + WORKER)}),
        "rows": rows[:, 0].tolist(),
        "decisions": decisions(where, root / f"decisions{WORKER}"),
        "external": external(where, root / "external"),
        "features": extracted(root / "features", 7),
        "features_of_other_settings": extracted(root / "features", 6 + WORKER),
    }
    train_classifiers.run(train_classifiers.Config(str(root / "features"), strategy="multi_worker", **CLASSIFIERS))
    train_unet.run(train_unet.Config(str(root / "unet"), strategy="multi_worker", **UNET))
    (root / f"said{WORKER}.json").write_text(json.dumps(said))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
