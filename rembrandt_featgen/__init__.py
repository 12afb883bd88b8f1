"""Feature generation for small, imbalanced medical imaging cohorts."""

import os
import sys

from rembrandt_featgen.core import interrupts

__version__ = "0.2.0"

# Before TensorFlow is imported: it keeps its start-up notes to itself, takes a GPU's memory as it needs it and not all
# at once, so that others may run there, too, and all is kept that CUDA compiles for a GPU.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
os.environ.setdefault("CUDA_CACHE_MAXSIZE", str(4 * 2**30))
if sys.argv[:1] == ["-m"]:  # as long as `python -m` is looking for the module of a binary
    interrupts.end_at_once_while_importing()


def __getattr__(name):
    """`evaluate`, imported when it is asked for: it needs TensorFlow, which takes seconds."""
    if name != "evaluate":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rembrandt_featgen.evaluation.studies import evaluate

    return evaluate
