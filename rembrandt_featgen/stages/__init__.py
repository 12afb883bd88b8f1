"""The stages of a run, each a binary: `python -m rembrandt_featgen.stages.<name> --run_dir=... --flagfile=...`."""

from __future__ import annotations

import dataclasses
import importlib

ORDER = ("phantom", "prepare", "finetune", "extract", "train_acgan", "generate", "classify", "export", "report")


def modules() -> dict:
    """Name to module of each stage, in the order in which they run."""
    return {name: importlib.import_module(f"{__name__}.{name}") for name in ORDER}


def all_flags() -> set[str]:
    """The flags of all stages: a flagfile may hold any of them, whichever stage reads it."""
    return {field.name for module in modules().values() for field in dataclasses.fields(module.Config)}
