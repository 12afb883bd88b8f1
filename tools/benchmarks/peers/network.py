"""What the networks in PyTorch share: threads, settings to choose from, and steps in a precision."""

from __future__ import annotations

import contextlib
import os

import torch


def prepare() -> None:
    """Takes all cores; the same numbers each time."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.manual_seed(0)


def settings() -> dict[str, tuple[torch.memory_format, bool]]:
    """Name to (memory format, whether compiled); what is mostly best comes first."""
    formats = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}
    return {
        f"{name}{', compiled' if compiled else ''}": (found, compiled)
        for compiled in (False, True)
        for name, found in formats.items()
    }


def autocast(precision: str):
    """A context that computes in `precision`, with weights in float32."""
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast("cpu", getattr(torch, precision))


def parameters(*networks: torch.nn.Module) -> int:
    """How many numbers are trained."""
    return sum(weight.numel() for network in networks for weight in network.parameters())
