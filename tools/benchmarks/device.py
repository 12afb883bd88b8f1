"""All networks on one device, in each precision, beside PyTorch's best; in one call that ends after --minutes.

Of each network and precision: `fit`, as training does it; the same compiled by XLA (`jit`); and `loop`, steps inside
one graph on a batch that stays there, which says what feeding costs. Then extraction, what input pipelines give beside
what the networks take, and the hours of --paper_flags from some steps of each stage.

`device_plan` says in which order, and how long each row may take: one that takes longer is ended with all that it
started, and costs none of the others. Each row that is not measured is named, with the reason, be it time, a failure or
that there is no PyTorch. With --quick all networks are small, so that all rows are tried; they say nothing of speed.
"""

from __future__ import annotations

import dataclasses
import json
import re
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from benchmarks import device_plan, device_processes, turns
from benchmarks.rows import row

WANTED = {"unet": 1.0, "acgan": 1.3}  # of PyTorch's best
UNITS = {"unet": "slices/s", "acgan": "steps/s", "classifier": "samples/s", "extraction": "slices/s", "paper": "h"}
_SWEEPS = ("filters", "taps", "generators", "reference", "added", "added_to")
# Of --quick, what is no smaller as it is.
_SMALL = {"image_size": 32, "gan_filters": 16, "feature_size": 8, "feature_channels": 32, "classifier_filters": 8}
_SMALL |= {"classifier_units": 16, "classifier_samples": 64, "extract_slices": 40, "paper_steps": 4}
_SMALL_RUN = ("image_size=32", "unet_width=4", "ndf=16", "ngf=16", "classifier_filters=8", "generate_batch=16")
_SMALL_WIDTH = 4
_STAGES = 7  # that the hours of a whole run are the sum of


class Taken(NamedTuple):
    """What rounds.json keeps of a process.

    Attributes:
      seconds: that each row took in all, tracing and compiling included.
      missing: the rows that were not measured, to why.
    """

    seconds: dict[str, float]
    missing: dict[str, str]


def measure(config, peers: bool, since: float | None = None) -> tuple[list[dict], dict]:
    """Rows, their names in `device_...`, or in `quick_...`; and what each process took.

    Args:
      config: of the benchmark.
      peers: whether PyTorch is measured.
      since: when the minutes began, by `time.monotonic`; None for now.
    """
    until = (time.monotonic() if since is None else since) + 60 * config.minutes
    prefix = "quick" if config.quick else "device"
    config = _small(config) if config.quick else config
    device = "cpu" if config.device == "cpu" else "cuda"  # as PyTorch has it
    ours, peer = device_processes.ours(device), device_processes.peer(device) if peers else None
    if peers and not peer:
        print(f"  pytorch: left out, for {turns.PEERS_PYTHON} is not there (tools/setup_peers gpu)", flush=True)
    waiting = device_plan.groups(device, peers=bool(peer))
    values: dict[str, dict[str, float]] = {}
    taken: dict[str, Taken] = {}
    with tempfile.TemporaryDirectory(dir=config.run_dir) as name:
        folder = Path(name).resolve()  # parts run elsewhere
        while waiting:
            group, *waiting = waiting
            given = {**options(config, group.part, folder), "device": device, "peer": group.peer}
            arguments = ["-m", "benchmarks.device_sides", group.part, json.dumps(given)]
            later = [one for other in waiting for one in other.rows]
            started = peer if peer and group.peer else ours
            found = device_processes.measure(started, arguments, group.rows, later=later, until=until)
            values.setdefault(group.part, {}).update(found.values)
            seconds, missing = taken.get(group.title, ({}, {}))
            taken[group.title] = Taken(seconds | found.seconds, missing | found.missing)
            print(_said(group, found), flush=True)  # now, in case there is no later
    verdicts = "".join(verdict(name, values.get(name, {}), small=config.quick) for name in WANTED)
    print(verdicts + _left_out(taken), end="", flush=True)
    measured = [one for name in UNITS for one in rows_of(name, values.get(name, {}), prefix)]
    return measured + feeding_rows(values, config.gan_batch, prefix), taken


def _said(group, found) -> str:
    """What came of a process: values with the seconds that their rows took, and remarks."""
    unit = UNITS.get(group.part, "samples/s")
    speeds = [f"{name} {value:.4g} {unit}" for name, value in found.values.items()]
    spent = sum(found.seconds.values())
    lines = [f"  {group.title}, {spent:.0f} s: {', '.join(speeds) or 'nothing'}", *found.remarks]
    return "; ".join(lines)


def _left_out(taken: Mapping[str, Taken]) -> str:
    """A line for each reason, with the rows that are missing for it."""
    rows: dict[tuple[str, str], list[str]] = {}
    for title, one in taken.items():
        for name, why in one.missing.items():
            rows.setdefault((title, why), []).append(name.removeprefix("pytorch "))
    return "".join(f"left out: {title}: {'; '.join(names)}: {why}\n" for (title, why), names in rows.items())


def rows_of(name: str, speed: Mapping[str, float], prefix: str = "device") -> list[dict]:
    """Rows of a part: each way of each precision beside `fit` of it, and our fastest beside PyTorch's.

    Args:
      name: of the part.
      speed: by "<precision> <way>" of ours, "pytorch <precision>, <setting>" of PyTorch's; hours by stage.
      prefix: of the rows' names.
    """
    if name == "paper":
        rows = [row(f"{prefix}_paper_{stage}_hours", hours, "h") for stage, hours in speed.items()]
        whole = len(speed) == _STAGES
        return rows + [row(f"{prefix}_paper_total_hours", sum(speed.values()), "h")] * whole
    rows = []
    for key, value in speed.items():
        precision, _, way = key.partition(" ")
        beside = f"{precision} fit" if way not in ("fit", "conv5") else ""
        other = None if key.startswith("pytorch") else speed.get(beside)
        against = beside if other else None
        title = re.sub(r"\W+", "_", f"{prefix}_{name}_{key}")
        rows.append(row(title, value, UNITS[name], other=other, against=against))
    found = _fastest(speed)
    if found:
        ours, peer = found
        against = f"{peer}; of ours {ours}"
        rows.append(row(f"{prefix}_{name}_vs_pytorch", speed[ours], UNITS[name], other=speed[peer], against=against))
    return rows


def feeding_rows(values: Mapping[str, Mapping[str, float]], batch: int, prefix: str = "device") -> list[dict]:
    """Rows of input pipelines, in slices or features a second, beside what their networks train of them.

    Args:
      values: speeds by part and name.
      batch: features in a step of the ACGAN.
      prefix: of the rows' names.
    """
    rows = []
    for name, value in values.get("feeding", {}).items():
        network, _, way = name.partition(" ")
        speeds = {key: speed for key, speed in values.get(network, {}).items() if key.endswith((" fit", " jit"))}
        best = max(speeds, key=speeds.__getitem__, default=None)
        other = None if best is None else speeds[best] * (batch if network == "acgan" else 1)
        unit = "slices/s" if network == "unet" else "features/s"
        against = None if best is None else f"{network} {best}"
        rows.append(row(f"{prefix}_feeding_{network}_{way}", value, unit, other=other, against=against))
    return rows


def verdict(name: str, speed: Mapping[str, float], small: bool = False) -> str:
    """Whether a network is as fast as it is to be beside PyTorch's best of what was measured; not of a small one."""
    found = _fastest(speed)
    if not found:
        return f"{name}: no ratio, for not both of it and PyTorch's were measured; wanted {WANTED[name]:g}\n"
    ratio = speed[found[0]] / speed[found[1]]
    if small:
        return f"{name}: {ratio:.3g} of PyTorch's best at the sizes of --quick, which says nothing of others\n"
    reached = "reached" if ratio >= WANTED[name] else "missed"
    return f"{name}: {ratio:.3g} of PyTorch's best, wanted {WANTED[name]:g}: {reached}\n"


def _fastest(speed) -> tuple[str, str] | None:
    """Our fastest training, and PyTorch's; None where one of them is missing."""
    ours = [key for key in speed if key.endswith((" fit", " jit"))]
    theirs = [key for key in speed if key.startswith("pytorch")]
    return (max(ours, key=speed.__getitem__), max(theirs, key=speed.__getitem__)) if ours and theirs else None


def options(config, name: str, folder: Path) -> dict:
    """What the sides of a part are given, but for the names of rows."""
    few, shape = config.quick, [config.feature_size, config.feature_size, config.feature_channels]
    found: dict = {"device_flag": config.device, "folder": str(folder), "seconds": 0.1 if few else 2.0}
    if name == "unet":
        found |= {"width": int(config.widths[-1]), "batch": config.batch, "size": config.image_size}
        return found | {"steps": 2 if few else 20}
    if name == "acgan":
        found |= {"shape": shape, "filters": config.gan_filters, "batch": config.gan_batch}
        return found | {"steps": 4 if few else 64, "steps_per_execution": 2 if few else 8}
    if name == "classifier":
        found |= {"shape": shape, "batch": config.classifier_batch, "filters": config.classifier_filters}
        return found | {"units": config.classifier_units, "samples": config.classifier_samples}
    if name == "paper":
        return found | {"flags": str(_paper_flags(config, folder)), "steps": config.paper_steps}
    found |= {"width": int(config.widths[-1]), "size": config.image_size, "slices": config.extract_slices}
    found |= {"batch": config.batch, "tap": "conv5"}
    return found | {"shape": shape, "samples": config.classifier_samples, "feature_batch": config.gan_batch}


def _paper_flags(config, folder) -> Path:
    """A file of --paper_flags without its sweeps, in float16 on a GPU; of a small run with --quick."""
    path = folder / "paper.flags"
    lines = [f"--flagfile={Path(config.paper_flags).resolve()}", f"--device={config.device}"]
    lines += [f"--sweep_{name}=" for name in _SWEEPS] + ["--sweep_from_scratch=false"]
    lines += ["--precision=float16"] if config.device != "cpu" else []
    lines += [f"--{flag}" for flag in _SMALL_RUN] if config.quick else []
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _small(config):
    """The config with all networks small, so that each row is quick wherever it is tried."""
    sizes = {name: min(getattr(config, name), size) for name, size in _SMALL.items()}
    width = min(int(config.widths[-1]), _SMALL_WIDTH)
    return dataclasses.replace(config, **sizes, widths=(str(width),))
