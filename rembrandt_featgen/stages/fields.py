"""Flags that several stages share."""

from __future__ import annotations

from rembrandt_featgen import cli
from rembrandt_featgen.models import precision as precisions


def run_dir():
    """--run_dir."""
    return cli.flag("", "Folder of the run; each stage writes into a folder of its own inside.", required=True)


def seed():
    """--seed."""
    return cli.flag(0, "Seed of everything random: the split, initial weights, augmentation, noise.", minimum=0)


def precision():
    """--precision."""
    return cli.flag(
        "float32",
        "Type in which networks compute; variables stay float32. bfloat16 is faster on recent CPUs and GPUs, float16 "
        "on GPUs (with loss scaling).",
        choices=precisions.PRECISIONS,
    )
