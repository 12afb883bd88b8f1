"""The processes of `device`: python -m benchmarks.device_sides PART OPTIONS ROWS; says a line of JSON for each row.

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
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

# Of a part and a way, the function of its module.
_WAYS = {
    "unet": {"fit": "train", "jit": "train", "loop": "loop"},
    "acgan": {"fit": "train", "jit": "train", "loop": "loop"},
    "classifier": {"fit": "train", "jit": "train"},
    "extraction": {"conv5": "extract", "bare": "run"},
}


def rounds_per_second(work: Callable[[], object], seconds: float, least: int = 3) -> float:
    """Of the median round, after one that is not counted; rounds are done for so many seconds, but `least` of them."""
    work()
    taken: list[float] = []
    while len(taken) < least or sum(taken) < seconds:
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return 1.0 / statistics.median(taken)


def serve(part: str, options: dict, rows: list[str], say: Callable[..., None]) -> None:
    """Measures rows of a part in their order; what fails is said, and the next is measured."""
    try:
        measure = _start(part, options, say)
    except Exception as error:  # such as a flagfile whose hours cannot be estimated
        measure = functools.partial(_raise, error)
    for name in rows:
        try:
            values = measure(name)
        except Exception as error:  # a precision or a setting that the device does not have
            say(row=name, said=" ".join(f"it failed ({type(error).__name__}: {error})"[:300].split()))
        else:
            say(row=name, values=values)


def _start(part, options, say) -> Callable[[str], dict]:
    """What measures a row by its name, once all that the rows share is done."""
    if options["peer"]:
        return _of_pytorch(part, options, say)
    from rembrandt_featgen.nn import devices

    say(said=devices.use(options["device_flag"]))
    return {"paper": _of_paper, "feeding": _of_feeding}.get(part, _of_network)(part, options)


def _of_network(part, options):
    from rembrandt_featgen.nn import devices

    module = importlib.import_module(f"benchmarks.{part}")
    if part == "extraction":
        module.write_slices(options)

    def measure(name):
        precision, way = name.split(" ")
        devices.use(options["device_flag"], jit=way == "jit")
        work = getattr(module, _WAYS[part][way])({**options, "precision": precision})
        return {name: _amount(part, options) * _rate(work, options)}

    return measure


def _of_feeding(_, options):
    """Of each input pipeline the slices or features in a second of the clock."""
    from benchmarks import extraction, feeding
    from rembrandt_featgen.data import pipelines

    folder = tempfile.mkdtemp(dir=options["folder"])
    extraction.write_slices({**options, "folder": folder})
    features = Path(folder) / "features"
    feeding.write_features(features, options["shape"], options["samples"], dtype="float32", codec="none")
    batches = pipelines.steps_per_epoch(options["samples"], options["feature_batch"])
    amounts = {"unet": options["slices"], "acgan": batches * options["feature_batch"], "classifier": options["samples"]}

    def measure(name):
        network, mode = name.split(" ")
        given = {**options, "folder": folder, "mode": mode}
        if network != "unet":
            given = {**options, "folder": str(features), "batch": options["feature_batch"]}
        work = getattr(feeding, network)(given)
        return {name: feeding.EPOCHS * amounts[network] * _rate(work, options)}

    return measure


def _of_paper(_, options):
    """Hours of the stages of a run."""
    from benchmarks import paper

    flags = paper.check(options["flags"])

    def measure(name):
        folder = Path(options["folder"])
        return paper.hours_of_stage(options["flags"], flags, name, folder=folder, count=options["steps"])

    return measure


def _of_pytorch(part, options, say):
    import torch

    device = options["device"]
    if device == "cuda" and not torch.cuda.is_available():
        cuda = torch.version.cuda
        why = f"is for CUDA {cuda}, which the driver may be too old for" if cuda else "is for CPUs alone"
        raise RuntimeError(
            f"PyTorch {torch.__version__} sees no GPU: it {why}; tools/setup_peers gpu installs one for GPUs"
        )
    where = torch.cuda.get_device_name() if device == "cuda" else "the CPU"
    say(said=f"PyTorch {torch.__version__} on {where}")
    module = importlib.import_module(f"benchmarks.peers.{part}")

    def measure(name):
        precision, _, setting = name.removeprefix("pytorch ").partition(", ")
        work = module.train({**options, "precision": precision, "setting": setting})
        return {name: _amount(part, options) * _rate(work, options)}

    return measure


def _raise(error, _):
    raise error


def _amount(part, options):
    """Slices, steps or samples of a round."""
    if part == "unet":
        return options["batch"] * options["steps"]
    return options[{"acgan": "steps", "classifier": "samples", "extraction": "slices"}[part]]


def _rate(work, options):
    return rounds_per_second(work.round, options["seconds"])


if __name__ == "__main__":
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # what packages print must not come between

        def say(**answer):
            answers.write(json.dumps(answer) + "\n")
            answers.flush()

        with contextlib.suppress(BrokenPipeError):
            serve(sys.argv[1], json.loads(sys.argv[2]), rows=json.loads(sys.argv[3]), say=say)
