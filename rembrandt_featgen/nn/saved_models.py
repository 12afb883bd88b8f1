"""What is exported: functions with named signatures over plain variables, which TensorFlow alone can load and run."""

from __future__ import annotations

import tensorflow as tf


def module_and_signatures(weights, **functions) -> tuple[tf.Module, dict]:
    """A module that tracks `weights`, which `functions` use, and the signatures to save with it."""
    module = tf.Module()
    module.weights = list(weights)
    for name, function in functions.items():
        setattr(module, name, function)
    signatures = dict(functions)
    signatures["serving_default"] = next(iter(functions.values()))
    return module, signatures
