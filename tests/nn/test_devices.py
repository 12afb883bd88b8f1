"""--device on a machine without a GPU, and with GPUs that TensorFlow is said to see."""

import os
from types import SimpleNamespace

import pytest
import tensorflow as tf

from rembrandt_featgen.core import provenance
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.nn import devices

GPUS = [SimpleNamespace(name=f"/physical_device:GPU:{number}") for number in range(2)]


@pytest.fixture
def two_gpus(monkeypatch):
    """Two are seen; what is made visible of them is kept."""
    visible = list(GPUS)
    details = {"device_name": "H100", "compute_capability": (9, 0)}
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: list(GPUS))
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: list(visible))
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda found, kind: visible.__setitem__(slice(None), found))
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: details)
    monkeypatch.setattr(devices, "memory_bytes", lambda number: 80 * 2**30)
    monkeypatch.setattr(provenance, "_device", "")
    return visible


def test_cpu_says_so_once(monkeypatch, caplog):
    monkeypatch.setattr(provenance, "_device", "")
    said = [devices.use(device, precision="bfloat16") for device in ("cpu", "auto")]
    assert said[0].startswith("runs on the CPU (") and said[0].endswith(f"TensorFlow {tf.__version__}, bfloat16")
    assert provenance.device() == said[1] == said[0]


@pytest.mark.parametrize(
    ("device", "chosen"), [("auto", GPUS), ("gpu", GPUS), ("gpu:1", GPUS[1:]), ("gpu:0", GPUS[:1]), ("cpu", [])]
)
def test_what_is_visible(two_gpus, device, chosen):
    devices.use(device)
    assert two_gpus == chosen
    devices.use("auto")  # of a stage that runs in the same process
    assert two_gpus == chosen


@pytest.mark.parametrize(
    ("device", "said"),
    [("gpu:2", "sees 2 GPUs, counted from gpu:0"), ("tpu", "write auto, cpu, gpu"), ("gpu:", "write auto, cpu, gpu")],
)
def test_devices_that_are_not_there(two_gpus, device, said):
    with pytest.raises(InputError, match=said):
        devices.use(device)


def test_no_gpu_says_why(monkeypatch, tmp_path):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    with pytest.raises(InputError, match="--device=gpu: TensorFlow sees 0 GPUs: CUDA_VISIBLE_DEVICES hides them; "):
        devices.use("gpu")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(devices, "_DRIVER", tmp_path)
    with pytest.raises(InputError, match=r"not the CUDA libraries; pip install 'tensorflow\[and-cuda\]"):
        devices.use("gpu")


def test_too_late(two_gpus, monkeypatch):
    def refuse(found, kind):
        raise RuntimeError("Visible devices cannot be modified after being initialized")

    monkeypatch.setattr(tf.config, "set_visible_devices", refuse)
    with pytest.raises(InputError, match="--device=cpu: TensorFlow has started in this process on another device"):
        devices.use("cpu")


def test_what_is_said_of_a_gpu(two_gpus):
    said = devices.use("gpu:1")
    assert said.startswith("runs on gpu:1 (H100, 80 GiB, compute capability 9.0), TensorFlow ")
    assert "float32 with TF32; it has no machine code for this GPU" in said
    assert "float32;" in devices.use("gpu:1", tf32=False)
    assert not tf.config.experimental.tensor_float_32_execution_enabled()
    assert "float16;" in devices.use("gpu:1", precision="float16")
    assert tf.config.experimental.tensor_float_32_execution_enabled()
    assert "(2 GPU(s) left alone)" in devices.use("cpu").replace(f"{os.cpu_count()} cores, ", "")


@pytest.mark.parametrize(
    ("capability", "wanted"), [((9, 0), True), ((8, 9), False), ((7, 0), False), ((7, 2), False), (None, False)]
)
def test_kernels_that_are_to_be_compiled(capability, wanted):
    assert devices.must_compile(capability, ("sm_50", "sm_60", "sm_70", "sm_75", "compute_80")) == wanted


def test_code_asks_for_the_device_that_it_is_on(monkeypatch):
    assert not devices.is_on_gpu()
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [GPUS[0]])
    assert not devices.is_on_gpu()  # this one computes on the CPU

    def where():
        found = {"": devices.is_on_gpu()}
        for device in ("/CPU:0", "/GPU:0"):
            with tf.device(device):
                found[device] = devices.is_on_gpu()
        return found

    found = []
    tf.function(lambda: found.append(where()))()
    assert found == [{"": False, "/CPU:0": False, "/GPU:0": True}]


def test_environment_of_every_process():
    assert os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
    assert int(os.environ["CUDA_CACHE_MAXSIZE"]) > 2**30
