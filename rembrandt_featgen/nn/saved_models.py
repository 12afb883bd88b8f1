"""What is exported and loaded: functions with named signatures, which TensorFlow alone can load and run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from rembrandt_featgen.core import paths, system_errors
from rembrandt_featgen.core.errors import InputError

_OLDER = (
    "--model_dir={}: these models were exported by another version of this program, whose signatures had other names; "
    "export them anew by repeating their run with this version: python -m rembrandt_featgen.stages.pipeline with its "
    "flags and another --run_dir"
)


def module_and_signatures(weights, **functions) -> tuple[tf.Module, dict]:
    """A module that tracks `weights`, which `functions` use, and the signatures to save with it."""
    module = tf.Module()
    module.weights = list(weights)
    for name, function in functions.items():
        setattr(module, name, function)
    signatures = dict(functions)
    signatures["serving_default"] = next(iter(functions.values()))
    return module, signatures


def save(module: tf.Module, folder: Path, signatures: dict) -> None:
    """Saves a module as a SavedModel in place of what is there, such as what a kill left of one.

    Args:
      module, signatures: as of `module_and_signatures`.
      folder: of the model alone.
    """
    paths.remove_folder(folder)
    tf.saved_model.save(module, str(folder), signatures)


def signatures_of(folder: str, name: str, signatures: Sequence[str]) -> list:
    """Signatures of an exported model, such as the classifier's `classify`.

    Args:
      folder: of --model_dir.
      name: of the model in it.
      signatures: names of those that are needed.

    Raises:
      InputError: there is no such model, it is damaged, or another version exported it.
    """
    path = Path(folder) / name
    if not (path / "saved_model.pb").is_file():
        raise InputError(
            f"--model_dir={folder}: there is no SavedModel in {path}; give the export/ folder of a finished run, or "
            "the final/ folder of a study"
        )
    try:
        model = tf.saved_model.load(str(paths.literal(path)))
    except Exception as error:  # what a damaged SavedModel raises depends on where it is damaged
        system_errors.raise_of_drive(error)
        raise InputError(
            f"--model_dir={folder}: {path} cannot be loaded ({type(error).__name__}); export it again"
        ) from error
    functions = []
    for signature in signatures:
        if signature not in model.signatures:
            if {"segment", "classify"} & set(model.signatures):
                raise InputError(_OLDER.format(folder))
            raise InputError(
                f"--model_dir={folder}: the SavedModel in {path} has no signature {signature}; give the export/ folder "
                "of a finished run"
            )
        function = model.signatures[signature]
        if signature == "classify" and not {"classes", "thresholds"} <= set(function.structured_outputs):
            raise InputError(_OLDER.format(folder))
        function.keeps_alive = model  # its variables go with it
        functions.append(function)
    return functions
