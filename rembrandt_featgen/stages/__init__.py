"""The stages of a run, each a binary: `python -m rembrandt_featgen.stages.<name> --run_dir=... --flagfile=...`."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Iterable

from rembrandt_featgen.core import cli
from rembrandt_featgen.core.registry import ON_REQUEST, PACKAGE, RUN, STUDY


def modules(names: Iterable[str] = RUN) -> dict:
    """Name to module of each stage, in the order in which they run."""
    return {name: importlib.import_module(f"{PACKAGE}.{name}") for name in names}


def all_flags() -> set[str]:
    """The flags of all stages: a flagfile may hold any of them, whichever stage reads it."""
    return {
        field.name
        for module in modules(dict.fromkeys([*RUN, *STUDY, *ON_REQUEST, "crossvalidate", "pipeline"])).values()
        for field in dataclasses.fields(module.Config)
    }


def all_fields(stage_modules: Iterable) -> list:
    """Name, type and definition of each flag of some stages; a flag that stages share is defined alike in all."""
    found: dict[str, tuple] = {}
    for module in stage_modules:
        for field in dataclasses.fields(module.Config):
            found.setdefault(field.name, (field.name, field.type, cli.flag(field.default, **field.metadata)))
    return list(found.values())


def share(module, config, **changes):
    """The `module.Config` that holds what `config` has of its fields, but for `changes`."""
    names = [field.name for field in dataclasses.fields(module.Config)]
    return module.Config(**{**{name: getattr(config, name) for name in names if hasattr(config, name)}, **changes})
