"""All networks on one device, in each precision, beside PyTorch's best; in one call that ends after --minutes.

Parts, each a process: U-Net, ACGAN, classifier (of this program, then of PyTorch), extraction, and the hours of
--paper_flags from some steps of each stage. Of each network and precision: `fit`, as training does it; the same
compiled by XLA (`jit`); and `loop`, steps inside one graph on a batch that stays there, which says what feeding costs.
The clock runs from the first part on: one that is not done when its share of the minutes is over is ended with all that
it started, what it measured by then counts, and what is missing is said. What a part does not need is left to those
that come after it. A part that fails, or PyTorch where there is none, is said, and the others are measured.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
from pathlib import Path

from benchmarks import device_processes, turns
from benchmarks.device_processes import Command
from benchmarks.rows import row, table

# Part to its share of the minutes. The first one compiles the kernels that the others find in CUDA's cache.
SHARES = {"unet": 0.27, "acgan": 0.14, "classifier": 0.08, "extraction": 0.08}
PEERS = {"unet": 0.17, "acgan": 0.13, "classifier": 0.05}  # of PyTorch, after the part of the same name
PAPER = 0.2
WANTED = {"unet": 1.0, "acgan": 1.3}  # of PyTorch's best
UNITS = {"unet": "slices/s", "acgan": "steps/s", "classifier": "samples/s", "extraction": "slices/s"}
_SWEEPS = ("filters", "taps", "generators", "reference", "added", "added_to")


def measure(config, peers: bool) -> tuple[list[dict], dict]:
    """Rows of the device, its name in `device_...`, and nothing of turns: sides of a GPU do not share the machine."""
    start, share, measured = time.monotonic(), 0.0, []
    ours, peer = device_processes.ours(), device_processes.peer() if peers else None
    if peers and not peer:
        print(f"  pytorch: left out, for {turns.PEERS_PYTHON} is not there (tools/setup_peers gpu)", flush=True)
    whole = sum(SHARES.values()) + sum(PEERS.values()) * bool(peer) + PAPER
    with tempfile.TemporaryDirectory(dir=config.run_dir) as name:
        folder = str(Path(name).resolve())  # parts run elsewhere
        for name, own in SHARES.items():
            sides = [("", ours, own)]
            if peer and name in PEERS:
                sides.append(("pytorch ", peer, PEERS[name]))
            speed: dict[str, float] = {}
            for who, started, its in sides:
                share += its
                given = {**options(config, name), "device_flag": config.device, "folder": folder, "peer": bool(who)}
                arguments = ["-m", "benchmarks.device_sides", name, json.dumps(given)]
                until = start + 60 * config.minutes * share / whole
                speed |= device_processes.speeds(Command(f"{who}{name}", started, arguments, until=until))
            found = rows_of(name, speed)
            measured += found
            print(table(found) * bool(found) + verdict(name, speed), flush=True)  # now, in case there is no later
        measured += _paper(config, folder, until=start + 60 * config.minutes)
    return measured, {}


def rows_of(name: str, speed: dict[str, float]) -> list[dict]:
    """Rows of a network: each way of each precision beside `fit` of it, and our fastest beside PyTorch's.

    Args:
      name: of the part.
      speed: by "<precision> <way>" of ours, "pytorch <precision>" of PyTorch's.
    """
    rows = []
    for key, value in speed.items():
        precision, _, way = key.partition(" ")
        beside = f"{precision} fit" if way not in ("fit", "conv5") else ""
        other = None if key.startswith("pytorch") else speed.get(beside)
        against = beside if other else None
        title = re.sub(r"\W+", "_", f"device_{name}_{key}")
        rows.append(row(title, value, UNITS[name], other=other, against=against))
    found = _fastest(speed)
    if found:
        ours, peer = found
        against = f"{peer}; of ours {ours}"
        rows.append(row(f"device_{name}_vs_pytorch", speed[ours], UNITS[name], other=speed[peer], against=against))
    return rows


def verdict(name: str, speed: dict[str, float]) -> str:
    """Whether a network is as fast as it is to be beside PyTorch's best; "" where nothing is wanted of it."""
    if name not in WANTED:
        return ""
    found = _fastest(speed)
    if not found:
        return f"{name}: no ratio, for not both of it and PyTorch's were measured; wanted {WANTED[name]:g}\n"
    ratio = speed[found[0]] / speed[found[1]]
    reached = "reached" if ratio >= WANTED[name] else "missed"
    return f"{name}: {ratio:.3g} of PyTorch's best, wanted {WANTED[name]:g}: {reached}\n"


def _fastest(speed) -> tuple[str, str] | None:
    """Our fastest training, and PyTorch's; None where one of them is missing."""
    ours = [key for key in speed if key.endswith((" fit", " jit"))]
    theirs = [key for key in speed if key.startswith("pytorch")]
    return (max(ours, key=speed.__getitem__), max(theirs, key=speed.__getitem__)) if ours and theirs else None


def options(config, name: str) -> dict:
    """What the sides of a part are given, but for the precision."""
    device = "cpu" if config.device == "cpu" else "cuda"  # as PyTorch has it
    few, shape = config.quick, [config.feature_size, config.feature_size, config.feature_channels]
    found: dict = {"device": device, "seconds": 0.2 if few else 3.0}
    if name == "unet":
        found |= {"width": int(config.widths[-1]), "batch": config.batch, "size": config.image_size}
        return found | {"steps": 2 if few else 20}
    if name == "acgan":
        found |= {"shape": shape, "filters": config.gan_filters, "batch": config.gan_batch}
        return found | {"steps": 8 if few else 64, "steps_per_execution": 8}
    if name == "classifier":
        found |= {"shape": shape, "batch": config.classifier_batch, "filters": config.classifier_filters}
        return found | {"units": config.classifier_units, "samples": config.classifier_samples}
    found |= {"width": int(config.widths[-1]), "size": config.image_size, "slices": config.extract_slices}
    return found | {"batch": config.batch, "tap": "conv5"}


def _paper(config, folder, *, until) -> list[dict]:
    """Hours of --paper_flags without its sweeps, in float16 on a GPU, from --paper_steps of each stage."""
    if until < time.monotonic() + 1.0:
        print("  paper: left out for want of time (--minutes)", flush=True)
        return []
    flags = Path(folder) / "paper.flags"
    lines = [f"--flagfile={Path(config.paper_flags).resolve()}", f"--device={config.device}"]
    lines += [f"--sweep_{name}=" for name in _SWEEPS] + ["--sweep_from_scratch=false"]
    lines += ["--precision=float16"] if config.device != "cpu" else []
    flags.write_text("\n".join(lines) + "\n", encoding="utf-8")
    run = Path(folder) / "paper"
    run.mkdir()
    arguments = [str(turns.TOOLS / "benchmark.py"), "--subjects=paper", f"--run_dir={run}"]
    arguments += [f"--paper_flags={flags}", f"--paper_steps={config.paper_steps}", "--paper_precisions="]
    command = Command("paper", device_processes.ours(), arguments, until=until)
    with device_processes.text_file() as said, device_processes.text_file() as log:
        late, code = device_processes.run(command, said, log)
        for file in (said, log):
            file.seek(0)
        begun, text = [line.strip() for line in said.read().splitlines() if line.endswith("...")], log.read()
    if late or code:
        why = f"its time was over (--minutes) at {begun[-1:]}" if late else f"it failed: {text[-1000:]}"
        print(f"  paper: {why}", flush=True)
        return []
    found = json.loads((run / "benchmark.json").read_text(encoding="utf-8"))
    return [{**one, "name": f"device_{one['name']}"} for one in found if "_half" not in one["name"]]
