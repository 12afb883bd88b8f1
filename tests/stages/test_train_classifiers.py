"""Features of any size stream into the classifiers of a run: they are never all in memory."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from rembrandt_featgen.core import json_files, rundir
from rembrandt_featgen.data.store_writer import Writer
from rembrandt_featgen.evaluation import predictions

ROOT = Path(__file__).parent.parent.parent
SHAPE = (16, 16, 256)
COUNTS = {"train": 2000, "validation": 40, "test": 40}
MIB = 2**20
# The peak of memory before and after the stage, in a process of its own.
PROGRAM = """
import json, resource, sys
from rembrandt_featgen.stages import train_classifiers
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
settings = {"classifier_kinds": ("linear",), "classifier_arms": ("baseline",), "synthetic_added": 0}
before = peak()
train_classifiers.run(
    train_classifiers.Config(sys.argv[1], classifier_epochs=1, classifier_learning_rate=1e-2, **settings)
)
print(json.dumps([before, peak()]))
"""


def test_the_memory_of_a_training_does_not_grow_with_its_features(tmp_path):
    random = np.random.default_rng(0)
    record = {
        "config": {},
        "figures": {"shape": SHAPE},
        "inputs": {},
        "classes": {"names": ["a", "b"], "positive": "b"},
    }
    for folder, counts in (("features", COUNTS), ("synthetic_acgan", {"synthetic": 4})):
        (tmp_path / folder).mkdir()
        for split, count in counts.items():
            with Writer(tmp_path / folder, split, {"feature": (SHAPE, "float32")}) as writer:
                for number in range(count):
                    feature = random.random(SHAPE, np.float32)
                    feature[..., number % 2] += 2.0
                    writer.write(
                        {"feature": feature},
                        f"{split}{number // 4 * 2 + number % 2}",
                        slice_index=number,
                        label=number % 2,
                    )
        json_files.write_json(tmp_path / folder / rundir.RECORD, record)
    stored = sum(file.stat().st_size for file in (tmp_path / "features").iterdir()) // MIB
    assert stored > 500
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    before, after = json.loads(done.stdout.splitlines()[-1])
    assert after - before < stored / 2, f"{after - before} MiB more for {stored} MiB of features"
    table = predictions.read(tmp_path / "classifiers" / predictions.FILE)
    assert np.mean(table.probabilities.argmax(1) == table.label) > 0.9
