"""Two processes that talk over the loopback, as two hosts would: the chief alone writes, and writes what one would."""

import json
import os
import shutil
import socket
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.core import json_files
from rembrandt_featgen.data.store_writer import Writer
from rembrandt_featgen.nn import weights
from rembrandt_featgen.segmentation.unet import build_unet
from rembrandt_featgen.stages import extract_features

SIZE = 32


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """A run that has slices and a U-Net."""
    folder, classes = tmp_path_factory.mktemp("run"), {"names": ["LGG", "HGG"], "positive": "HGG"}
    random = np.random.default_rng(0)
    for name, config, figures in (
        ("slices", {}, {"channels": ["flair"], "image_size": SIZE}),
        ("unet", {"unet_width": 2}, {}),
    ):
        (folder / name).mkdir()
        record = {"config": config, "figures": figures, "inputs": {}, "classes": classes}
        json_files.write_json(folder / name / "stage.json", record)
    for split, count in {"train": 600, "validation": 2, "test": 3}.items():  # three shards of features, one, one
        with Writer(folder / "slices", split, {"image": ((SIZE, SIZE, 1), "float32")}) as writer:
            for number in range(count):
                image = random.normal(size=(SIZE, SIZE, 1))
                writer.write({"image": image}, f"{split} {number // 2}", slice_index=number, label=number % 2)
    tf.keras.utils.set_random_seed(1)
    weights.save(build_unet(1, 2).get_weights(), folder / "unet" / "best.npz")
    return folder


def workers(run_dir, *flags_of_each):
    """Exit codes and last words of workers, each with flags of its own."""
    sockets = [socket.socket() for _ in flags_of_each]
    for one in sockets:
        one.bind(("localhost", 0))
    addresses = [f"localhost:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    command = [sys.executable, "-m", "rembrandt_featgen.stages.extract_features", f"--run_dir={run_dir}"]
    processes = []
    for number, flags in enumerate(flags_of_each):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": number}}
        environment = {**os.environ, "TF_CONFIG": json.dumps(task), "TF_NUM_INTRAOP_THREADS": "1"}
        processes.append(
            subprocess.Popen(
                [*command, "--strategy=multi_worker", *flags],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    said = [process.communicate(timeout=300)[0] for process in processes]
    return [process.returncode for process in processes], [text.strip().splitlines()[-1] for text in said]


def test_two_workers_extract_the_bytes_of_one(run_dir, tmp_path):
    one = shutil.copytree(run_dir, tmp_path / "one")
    extract_features.run(extract_features.Config(str(one), extract_batch=7))
    codes, said = workers(run_dir, ["--extract_batch=7"], ["--extract_batch=7"])
    assert codes == [0, 0], said
    names = [sorted(path.name for path in (folder / "features").iterdir()) for folder in (one, run_dir)]
    assert names[0] == names[1] and len([name for name in names[0] if name.startswith("train-")]) == 3
    for name in names[0]:
        if name not in ("stage.json", "flags.txt"):
            assert (one / "features" / name).read_bytes() == (run_dir / "features" / name).read_bytes(), name
    # the other worker learns that the chief, whose features are of other settings, has stopped
    codes, said = workers(run_dir, ["--extract_batch=6"], ["--extract_batch=7"])
    assert codes == [1, 1]
    assert "--extract_batch=7 (now 6)" in said[0]
    assert "worker 1 of 2: the chief, worker 0, has stopped" in said[1]
