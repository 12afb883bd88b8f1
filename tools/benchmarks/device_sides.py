"""The processes of `device`: python -m benchmarks.device_sides PART OPTIONS; says a line of JSON for each speed.

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

PRECISIONS = ("float16", "bfloat16", "float32")  # what is to be known first comes first


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
            say(said=f"{name} failed ({type(error).__name__}: {error})"[:300])


def _ours(part, options, say):
    """Of each of our sides its name, a function to its rounds in a second, and what is done in one."""
    from rembrandt_featgen.nn import devices

    say(said=devices.use(options["device_flag"]))
    module = importlib.import_module(f"benchmarks.{part}")
    if part == "extraction":
        module.write_slices(options)
    for precision in PRECISIONS:
        given = {**options, "precision": precision}
        for way, function in _WAYS[part].items():
            if way == "jit":
                devices.use(options["device_flag"], jit=True)
            yield f"{precision} {way}", functools.partial(_rate, getattr(module, function), given), _amount(part, given)
            if way == "jit":
                devices.use(options["device_flag"])


def _of_pytorch(part, options, say):
    import torch

    if options["device"] == "cuda" and not torch.cuda.is_available():
        say(said=f"PyTorch {torch.__version__} sees no GPU; tools/setup_peers gpu installs one that does")
        return
    where = torch.cuda.get_device_name() if options["device"] == "cuda" else "the CPU"
    say(said=f"PyTorch {torch.__version__} on {where}")
    module = importlib.import_module(f"benchmarks.peers.{part}")
    for precision in PRECISIONS:
        given = {**options, "precision": precision}
        yield f"pytorch {precision}", functools.partial(_rate, module.train, given, say), _amount(part, given)


_WAYS = {
    "unet": {"fit": "train", "loop": "loop", "jit": "train"},
    "acgan": {"fit": "train", "loop": "loop", "jit": "train"},
    "classifier": {"fit": "train", "jit": "train"},
    "extraction": {"conv5": "extract", "bare": "run"},
}


def _amount(part, options):
    """Slices, steps or samples of a round."""
    if part == "unet":
        return options["batch"] * options["steps"]
    return options[{"acgan": "steps", "classifier": "samples", "extraction": "slices"}[part]]


def _rate(function, options, say=None):
    work = function(options)
    if say is not None:
        say(said=f"{options['precision']}: {work.facts['setting']}")
    return rounds_per_second(work.round, options["seconds"])


if __name__ == "__main__":
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # what packages print must not come between

        def say(**answer):
            answers.write(json.dumps(answer) + "\n")
            answers.flush()

        with contextlib.suppress(BrokenPipeError):
            serve(sys.argv[1], json.loads(sys.argv[2]), say)
