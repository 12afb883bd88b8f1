"""The device that networks run on: which one is taken, what is said of it, and which one a piece of code is on.

Memory of a GPU is taken as it is needed, and what is compiled for it is kept, by settings of the environment that
`rembrandt_featgen/__init__.py` makes before TensorFlow is imported.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import re
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf
from absl import logging

from rembrandt_featgen.core import provenance
from rembrandt_featgen.core.errors import InputError

AUTO, CPU, GPU = "auto", "cpu", "gpu"
CPU_JIT = "--tf_xla_cpu_global_jit"
_NAMES = re.compile(r"auto|cpu|gpu(?::(\d+))?")
_DRIVER = Path("/proc/driver/nvidia/version")  # there wherever NVIDIA's driver is loaded


def use(
    device: str, *, precision: str = "float32", tf32: bool = True, jit: bool = False, deterministic: bool = False
) -> str:
    """Takes a device, before TensorFlow computes anything, and logs once where this process runs.

    Args:
      device: "auto" takes the GPUs that TensorFlow sees, else the CPU; "gpu" all of them, "gpu:1" the second alone.
      precision: one of `mixed_precision.PRECISIONS`, to be said.
      tf32: whether GPUs may round what float32 products multiply to 10 bits (TensorFloat-32).
      jit: whether XLA compiles what it can of each graph; of graphs on a CPU only with TF_XLA_FLAGS=`CPU_JIT`.
      deterministic: whether operations give the same bits each time; one that cannot raises. It stays so for the
        process.

    Returns:
      What is logged.

    Raises:
      InputError: there is no such device, or TensorFlow has started on another one.
    """
    gpus = chosen_gpus(device)
    if gpus != tf.config.get_visible_devices("GPU"):
        try:
            tf.config.set_visible_devices(gpus, "GPU")
        except RuntimeError as error:
            raise InputError(
                f"--device={device}: TensorFlow has started in this process on another device; start the process anew"
            ) from error
    tf.config.experimental.enable_tensor_float_32_execution(tf32)
    if jit:
        _show_xla_its_libraries()
    tf.config.optimizer.set_jit(jit)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    said = describe(precision, tf32=tf32) + ", compiled by XLA" * jit + ", deterministic" * deterministic
    if said != provenance.device():
        provenance.set_device(said)
        logging.info("%s", said)
    return said


def chosen_gpus(device: str) -> list:
    """The physical GPUs that a value of --device means; InputError where there are none."""
    named = _NAMES.fullmatch(device)
    if not named:
        raise InputError(f"--device={device} is not known; write auto, cpu, gpu, or gpu:1 for the second GPU")
    if device == AUTO:
        return tf.config.get_visible_devices("GPU")
    gpus = tf.config.list_physical_devices("GPU") if device != CPU else []
    number = named.group(1)
    if device != CPU and len(gpus) <= int(number or 0):
        why = ", counted from gpu:0" if gpus else _why_none()
        raise InputError(f"--device={device}: TensorFlow sees {len(gpus)} GPUs{why}; --device=cpu runs without")
    return gpus if number is None else [gpus[int(number)]]


def describe(precision: str = "float32", *, tf32: bool = True) -> str:
    """One line: where this process runs, what was found there, the versions of TensorFlow and CUDA, the precision.

    Args:
      precision, tf32: as for `use`.
    """
    version = f"TensorFlow {tf.__version__}"
    gpus = tf.config.get_visible_devices("GPU")
    if not gpus:
        left = tf.config.list_physical_devices("GPU")
        why = f"{len(left)} GPU(s) left alone" if left else f"no GPU{_why_none()}"
        return f"runs on the CPU ({os.cpu_count()} cores, {why}), {version}, {precision}"
    built = tf.sysconfig.get_build_info()
    computes = f"{precision} with TF32" if precision == "float32" and tf32 else precision
    parts = [_of_gpu(gpu) for gpu in gpus]
    line = f"runs on {' and '.join(parts)}, {version} for CUDA {built.get('cuda_version')}, cuDNN "
    line += f"{built.get('cudnn_version')}, {computes}"
    capabilities = [_details(gpu).get("compute_capability") for gpu in gpus]
    if any(must_compile(one, built.get("cuda_compute_capabilities", ())) for one in capabilities):
        line += (
            "; it has no machine code for this GPU, so that the first steps compile kernels, a minute or more, which "
            f"are kept in {os.environ.get('CUDA_CACHE_PATH', '~/.nv/ComputeCache')}"
        )
    return line


def must_compile(capability: tuple[int, int] | None, built: Sequence[str]) -> bool:
    """Whether a GPU compiles its kernels anew, from PTX, since TensorFlow has none for its generation.

    Args:
      capability: its compute capability, such as (9, 0); None where it is not known.
      built: what TensorFlow was built for, such as ("sm_70", "compute_80").
    """
    if capability is None or not built:
        return False
    made = [divmod(int(re.sub(r"\D", "", name)), 10) for name in built]
    return not any(major == capability[0] and minor <= capability[1] for major, minor in made)


def is_on_gpu() -> bool:
    """Whether an operation that is made here is for a GPU: by its device's scope, else by where TensorFlow puts it.

    For code that has one way for CPUs and another one for GPUs, eagerly and inside `tf.function`.
    """
    if not tf.config.list_logical_devices("GPU"):
        return False
    device = tf.zeros([]).device  # of a graph, "" where no scope says
    if not device:
        with tf.init_scope():
            device = tf.zeros([]).device
    return "GPU" in device.upper()


def _show_xla_its_libraries() -> None:
    """XLA does not look into the package in which `tensorflow[and-cuda]` has libdevice."""
    package = importlib.util.find_spec("nvidia")
    for folder in package.submodule_search_locations or () if package else ():
        if (Path(folder) / "cuda_nvcc" / "nvvm").is_dir() and "cuda_data_dir" not in os.environ.get("XLA_FLAGS", ""):
            flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_cuda_data_dir={Path(folder) / 'cuda_nvcc'}"
            os.environ["XLA_FLAGS"] = flags.strip()


def _of_gpu(gpu) -> str:
    details, number = _details(gpu), int(gpu.name.rpartition(":")[2])
    found = [details.get("device_name", "unknown")]
    memory = memory_bytes(number)
    if memory:
        found.append(f"{memory / 2**30:.0f} GiB")
    if "compute_capability" in details:
        found.append("compute capability {}.{}".format(*details["compute_capability"]))
    return f"gpu:{number} ({', '.join(found)})"


def _details(gpu) -> dict:
    return tf.config.experimental.get_device_details(gpu)


def memory_bytes(number: int) -> int | None:
    """Memory of a GPU by CUDA's driver, numbered as TensorFlow does it; None where the driver does not say."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    device, size = ctypes.c_int(), ctypes.c_size_t()
    failed = driver.cuInit(0) or driver.cuDeviceGet(ctypes.byref(device), number)
    failed = failed or driver.cuDeviceTotalMem_v2(ctypes.byref(size), device)
    return None if failed else size.value


def _why_none() -> str:
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1"):
        return ": CUDA_VISIBLE_DEVICES hides them"
    if _DRIVER.exists():
        return ": NVIDIA's driver is here, but not the CUDA libraries; pip install 'tensorflow[and-cuda]==2.15.1'"
    return ""
