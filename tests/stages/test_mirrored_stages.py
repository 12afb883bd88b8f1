"""Stages on two virtual CPUs write what one device would, whichever strategy a training is resumed by."""

import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from rembrandt_featgen.core import json_files
from rembrandt_featgen.data.store_writer import Writer
from rembrandt_featgen.nn import weights
from rembrandt_featgen.segmentation.unet import build_unet


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Run folders: of one device without a break, and of two devices and one, interrupted."""
    root = tmp_path_factory.mktemp("mirrored")
    classes = {"names": ["LGG", "HGG"], "positive": "HGG"}
    unet = {"unet_width": 2, "unet_norm": "batch"}
    for name, config, figures in (
        ("slices", {}, {"channels": ["flair"], "image_size": 32}),
        ("unet", unet, {}),
        ("synthetic_acgan", {}, {}),
    ):
        (root / "whole" / name).mkdir(parents=True)
        record = {"config": config, "figures": figures, "inputs": {}, "classes": classes}
        json_files.write_json(root / "whole" / name / "stage.json", record)
    random = np.random.default_rng(0)
    for split, count in {"train": 18, "validation": 8, "test": 7}.items():
        with Writer(root / "whole/slices", split, {"image": ((32, 32, 1), "float32")}) as writer:
            for number in range(count):
                image = random.normal(size=(32, 32, 1)) * (1 + number % 2)
                writer.write({"image": image}, f"{split} {number}", slice_index=0, label=number % 2)
    with Writer(root / "whole/synthetic_acgan", "synthetic", {"feature": ((2, 2, 32), "float32")}) as writer:
        for number in range(2):
            writer.write({"feature": np.ones((2, 2, 32))}, str(number), slice_index=0, label=number)
    tf.keras.utils.set_random_seed(1)
    weights.save(build_unet(1, 2, norm="batch").get_weights(), root / "whole/unet/best.npz")
    shutil.copytree(root / "whole", root / "broken")
    done = subprocess.run(
        [sys.executable, "-m", "tests.stages.two_cpus_stages", str(root)], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for stage in ("generator_acgan", "classifiers"):
        resumed = [json_files.read_json(root / run / stage / "stage.json")["resumed"] for run in ("whole", "broken")]
        assert resumed == [False, True], stage
    return root / "whole", root / "broken"


def test_two_devices_extract_the_bytes_of_one(runs):
    stored = [[path for path in sorted((run / "features").iterdir()) if ".json" not in path.name] for run in runs]
    names = [[path.name for path in paths] for paths in stored]
    assert names[0] == names[1] and len(names[0]) >= 3
    for one, two in zip(*stored):
        assert one.name == "flags.txt" or one.read_bytes() == two.read_bytes(), one.name


def test_a_gan_resumes_under_another_strategy(runs):
    one, two = (json_files.read_json(run / "generator_acgan/history.json") for run in runs)
    assert set(one) == set(two)
    assert np.ptp(one["d_loss"]) > 5e-3
    for name, values in one.items():
        np.testing.assert_allclose(two[name], values, atol=1e-4, err_msg=name)


def test_a_classifier_resumes_under_another_strategy(runs):
    one, two = (pd.read_csv(run / "classifiers/predictions.csv") for run in runs)
    np.testing.assert_allclose(two["p_HGG"], one["p_HGG"], atol=1e-4)
    assert one["p_HGG"].std() > 1e-3
