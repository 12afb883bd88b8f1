"""What the networks in PyTorch share: threads, settings to choose from, and steps in a precision."""

from __future__ import annotations

import contextlib
import os

import torch


def prepare(options: dict) -> dict[str, tuple[torch.memory_format, str]]:
    """Takes all cores, the same numbers each time; of the device's `settings` all, or the one that options name."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True  # as TensorFlow has it
    torch.backends.cudnn.benchmark = True
    found = settings(options.get("device", "cpu"))
    return {name: setting for name, setting in found.items() if name == options.get("setting", name)}


def settings(device: str = "cpu") -> dict[str, tuple[torch.memory_format, str]]:
    """Name to (memory format, mode of torch.compile or ""); what is mostly best comes first.

    On a GPU channels last alone, eagerly, compiled, and compiled into CUDA graphs ("reduce-overhead").
    """
    if device == "cuda":
        modes = {"": "", ", compiled": "default", ", CUDA graphs": "reduce-overhead"}
        return {f"channels_last{name}": (torch.channels_last, mode) for name, mode in modes.items()}
    formats = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}
    return {
        f"{name}{', compiled' if mode else ''}": (found, mode)
        for mode in ("", "default")
        for name, found in formats.items()
    }


def compiled(module: torch.nn.Module, mode: str):
    """A module as it is run in a mode of `settings`."""
    return torch.compile(module, mode=mode) if mode else module


def begin_step() -> None:
    """Before each step: what CUDA graphs returned in the last one may be written over, but not within one."""
    torch.compiler.cudagraph_mark_step_begin()


def autocast(precision: str, device: str = "cpu"):
    """A context that computes in `precision`, with weights in float32."""
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device, getattr(torch, precision))


def scaler(precision: str, device: str = "cpu") -> torch.amp.GradScaler:
    """Of losses, which float16 needs; of the other precisions one that does nothing."""
    return torch.amp.GradScaler(device, enabled=precision == "float16")


def parameters(*networks: torch.nn.Module) -> int:
    """How many numbers are trained."""
    return sum(weight.numel() for network in networks for weight in network.parameters())
