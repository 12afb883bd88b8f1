"""The processes of `device`: python -m benchmarks.device_sides PART OPTIONS; says a line of JSON for each speed.

What is to be known first comes first, for a process is ended when its time is over: a way in each precision, then the
next way.

Nothing but the standard library is imported until it is known whether the process is PyTorch's.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import os
import statistics
import sys
import time
from collections.abc import Callable

PRECISIONS = ("float16", "bfloat16", "float32")  # CPUs, which have no products of float16, take it last


def rounds_per_second(work: Callable[[], object], seconds: float, least: int = 3) -> float:
    """Of the median round, after one that is not counted; rounds are done for so many seconds, but `least` of them."""
    work()
    taken: list[float] = []
    while len(taken) < least or sum(taken) < seconds:
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return 1.0 / statistics.median(taken)


def serve(part: str, options: dict, say: Callable[..., None]) -> None:
    """Measures the part in each precision; what fails is said, and the next is measured."""
    for name, rate, amount in (_of_pytorch if options["peer"] else _ours)(part, options, say):
        try:
            say(speed={name: amount * rate()})
        except Exception as error:  # a precision or a setting that the device does not have
            say(said=" ".join(f"{name} failed ({type(error).__name__}: {error})"[:300].split()))
    say(done=True)


def _ours(part, options, say):
    """Of each of our sides its name, a function to its rounds in a second, and what is done in one."""
    from rembrandt_featgen.nn import devices

    say(said=devices.use(options["device_flag"]))
    module = importlib.import_module(f"benchmarks.{part}")
    if part == "extraction":
        module.write_slices(options)
    for way, function in _WAYS[part].items():
        for precision in _in_order(options):
            given = {**options, "precision": precision}
            if way == "jit":
                devices.use(options["device_flag"], jit=True)
            yield f"{precision} {way}", functools.partial(_rate, getattr(module, function), given), _amount(part, given)
            if way == "jit":
                devices.use(options["device_flag"])


def _of_pytorch(part, options, say):
    """The same of PyTorch's: all precisions eagerly, then compiled, which takes up to minutes each."""
    import torch

    from benchmarks.peers import network

    device = options["device"]
    if device == "cuda" and not torch.cuda.is_available():
        cuda = torch.version.cuda
        why = f"is for CUDA {cuda}, which the driver may be too old for" if cuda else "is for CPUs alone"
        say(said=f"PyTorch {torch.__version__} sees no GPU: it {why}; tools/setup_peers gpu installs one for GPUs")
        return
    where = torch.cuda.get_device_name() if device == "cuda" else "the CPU"
    say(said=f"PyTorch {torch.__version__} on {where}")
    module = importlib.import_module(f"benchmarks.peers.{part}")
    for setting in network.settings(device):
        for precision in _in_order(options):
            given = {**options, "precision": precision, "setting": setting}
            rate = functools.partial(_rate, module.train, given)
            yield f"pytorch {precision}, {setting}", rate, _amount(part, given)


_WAYS = {
    "unet": {"fit": "train", "jit": "train", "loop": "loop"},
    "acgan": {"fit": "train", "jit": "train", "loop": "loop"},
    "classifier": {"fit": "train", "jit": "train"},
    "extraction": {"conv5": "extract", "bare": "run"},
}


def _in_order(options):
    return PRECISIONS if options["device"] != "cpu" else PRECISIONS[::-1]


def _amount(part, options):
    """Slices, steps or samples of a round."""
    if part == "unet":
        return options["batch"] * options["steps"]
    return options[{"acgan": "steps", "classifier": "samples", "extraction": "slices"}[part]]


def _rate(function, options):
    return rounds_per_second(function(options).round, options["seconds"])


if __name__ == "__main__":
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # what packages print must not come between

        def say(**answer):
            answers.write(json.dumps(answer) + "\n")
            answers.flush()

        with contextlib.suppress(BrokenPipeError):
            serve(sys.argv[1], json.loads(sys.argv[2]), say)
