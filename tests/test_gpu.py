"""What holds on a GPU: pytest -m gpu. TRY_GPU_TESTS_ON_CPU=1 runs most of it on the CPU, to try the tests."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.classification import perceptrons
from rembrandt_featgen.classification.training_problems import Problem
from rembrandt_featgen.nn import convolutions, devices, mixed_precision
from rembrandt_featgen.segmentation import losses
from rembrandt_featgen.segmentation.unet import build_unet
from tests.nn import jit_steps

ROOT = Path(__file__).parent.parent
ON_CPU = "TRY_GPU_TESTS_ON_CPU" in os.environ
DEVICE, FLAG = ("/CPU:0", "cpu") if ON_CPU else ("/GPU:0", "gpu")
pytestmark = pytest.mark.gpu
needs_one = pytest.mark.skipif(ON_CPU, reason="of a GPU alone")


def of_devices(function):
    """What a function returns on the CPU, and on the GPU."""
    found = []
    for device in ("/CPU:0", DEVICE):
        with tf.device(device):
            found.append(function())
    return found


@pytest.fixture(autouse=True)
def in_float32():
    """Products of float32 in full."""
    tf.config.experimental.enable_tensor_float_32_execution(False)
    yield
    tf.config.experimental.enable_tensor_float_32_execution(True)


@pytest.mark.parametrize("name", jit_steps.NETWORKS)
def test_steps_are_those_of_a_cpu(name):
    on_cpu, on_gpu = of_devices(lambda: jit_steps.weights_after_steps(name))
    furthest = max(float(np.abs(a - b).max()) for a, b in zip(on_cpu, on_gpu))
    assert furthest < 2e-4  # a step of Adam is 1e-3; gradients near 0 may differ in sign


def test_perceptrons_are_those_of_a_cpu():
    random = np.random.default_rng(0)
    labels = np.arange(40) % 2
    features = random.normal(size=(40, 5)).astype(np.float32) + labels[:, None]
    problems = [Problem(features, labels, 2, seed=seed) for seed in range(3)]
    settings = perceptrons.PerceptronSettings(epochs=5)
    on_cpu, on_gpu = of_devices(lambda: perceptrons.fit(problems, settings, [0.1] * 3))
    for ours, other in zip(on_cpu, on_gpu):
        for name, values in ours.items():
            np.testing.assert_allclose(other[name], values, atol=1e-3, err_msg=name)


@pytest.mark.parametrize("precision", mixed_precision.PRECISIONS)
@pytest.mark.parametrize("norm", ["none", "instance"])
def test_precisions_learn_and_keep_float32_variables(precision, norm):
    with tf.device(DEVICE):
        tf.keras.utils.set_random_seed(0)
        unet = build_unet(1, 4, precision=precision, norm=norm)
        unet.compile(mixed_precision.scaled(mixed_precision.adam(3e-3), precision), losses.batch_soft_dice_loss)
        images = tf.random.stateless_normal([4, 32, 32, 1], [0, 0])
        found = unet.fit(images, tf.cast(images > 0.5, tf.float32), epochs=12, batch_size=4, verbose=0).history["loss"]
    assert np.isfinite(found).all() and found[-1] < found[0]
    assert {weight.dtype for weight in unet.trainable_weights} == {tf.float32}


@needs_one
def test_tf32_rounds_and_can_be_left():
    a, b = (np.random.default_rng(seed).normal(size=(512, 512)).astype(np.float32) for seed in (0, 1))

    def furthest():
        with tf.device(DEVICE):
            return float(np.abs(tf.matmul(a, b).numpy() - a.astype(float) @ b).max())

    full = furthest()
    devices.use("auto", tf32=True)
    assert furthest() > 5 * full
    devices.use("auto", tf32=False)
    assert furthest() == pytest.approx(full)


@needs_one
def test_what_is_said_and_which_way_is_taken():
    said = devices.use("gpu")
    assert said.startswith("runs on gpu:0 (") and " GiB, compute capability " in said and " for CUDA 12" in said
    assert (devices.memory_bytes(0) or 0) > 2**30
    with tf.device("/GPU:0"):
        assert devices.is_on_gpu()
        assert not convolutions._is_worth_it(tf.zeros([1, 15, 15, 512]), tf.zeros([3, 3, 512, 512]))
    with tf.device("/CPU:0"):
        assert not devices.is_on_gpu()
        assert convolutions._is_worth_it(tf.zeros([1, 15, 15, 512]), tf.zeros([3, 3, 512, 512]))


@needs_one
@pytest.mark.skipif(not shutil.which("nvidia-smi"), reason="nvidia-smi is not there")
def test_memory_is_taken_as_it_is_needed():
    with tf.device("/GPU:0"):
        tf.zeros([1]).numpy()
    command = ["nvidia-smi", "--query-gpu=memory.used,memory.total", "--format=csv,noheader,nounits"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    used, total = map(int, said.splitlines()[0].split(","))
    assert used < total / 2  # TensorFlow would take nearly all


def test_layout_pass_does_not_fail_in_a_gans_loop():
    """A process of its own: Grappler says so in its log alone."""
    code = "from tests.nn import jit_steps; jit_steps.weights_after_steps('acgan', dropout=True, steps=8)"
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "0"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "layout failed" not in done.stderr


def test_a_tiny_run(tmp_path):
    command = [sys.executable, "-m", "rembrandt_featgen.stages.pipeline", "--flagfile=flags/reproduce_tiny.flags"]
    command += [f"--run_dir={tmp_path / 'run'}", f"--device={FLAG}", "--last_stage=train_classifiers"]
    command += ["--generators=acgan", "--study_features=false", "--cohort_report=false"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"runs on {'the CPU' if ON_CPU else 'gpu:0'} (" in done.stderr
    assert "layout failed" not in done.stderr
    assert (tmp_path / "run" / "classifiers" / "stage.json").is_file()
