"""All networks on one device, in each precision, beside PyTorch's best; in one call that ends after --minutes.

Parts, each a process: U-Net, ACGAN, classifier (of this program, then of PyTorch), extraction, and the hours of
--paper_flags from some steps of each stage. Of each network and precision: `fit`, as training does it; the same
compiled by XLA (`jit`); and `loop`, steps inside one graph on a batch that stays there, which says what feeding costs.
The clock runs from the first part on: one that is not done when its share of the minutes is over is ended, what it
measured by then counts, and what is missing is said. What a part does not need is left to those that come after it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import turns
from benchmarks.rows import row

# Part to its share of the minutes. The first one compiles the kernels that the others find in CUDA's cache.
SHARES = {"unet": 0.27, "acgan": 0.14, "classifier": 0.08, "extraction": 0.08}
PEERS = {"unet": 0.13, "acgan": 0.09, "classifier": 0.04}  # of PyTorch, after the part of the same name
PAPER = 0.17
UNITS = {"unet": "slices/s", "acgan": "steps/s", "classifier": "samples/s", "extraction": "slices/s"}
_SWEEPS = ("filters", "taps", "generators", "reference", "added", "added_to")


def measure(config, peers: bool) -> tuple[list[dict], dict]:
    """Rows of the device, its name in `device_...`, and nothing of turns: sides of a GPU do not share the machine."""
    start, share, measured = time.monotonic(), 0.0, []
    whole = sum(SHARES.values()) + sum(PEERS.values()) * peers + PAPER
    with tempfile.TemporaryDirectory(dir=config.run_dir) as folder:
        for name, own in SHARES.items():
            speed: dict = {}
            for python, its in ((sys.executable, own), (str(turns.PEERS_PYTHON), PEERS.get(name, 0.0) * peers)):
                share += its
                until = start + 60 * config.minutes * share / whole
                if its:
                    speed |= _part(config, name, python=python, until=until, folder=folder)
            measured += rows_of(name, speed)
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
        rows.append(row(f"device_{name}_{key.replace(' ', '_')}", value, UNITS[name], other=other, against=against))
    ours = {key: value for key, value in speed.items() if key.endswith((" fit", " jit"))}
    theirs = {key: value for key, value in speed.items() if key.startswith("pytorch")}
    if ours and theirs:
        best, peer = max(ours, key=lambda key: ours[key]), max(theirs, key=lambda key: theirs[key])
        against = f"{peer}, of ours {best}"
        rows.append(row(f"device_{name}_vs_pytorch", ours[best], UNITS[name], other=theirs[peer], against=against))
    return rows


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


def _text_file():
    return tempfile.TemporaryFile("w+", encoding="utf-8")


def _part(config, name, *, python, until, folder) -> dict[str, float]:
    """Speeds of one process by name; what it said until it ended, or was ended."""
    is_peer = python != sys.executable
    given = {**options(config, name), "device_flag": config.device, "folder": folder, "peer": is_peer}
    command = [python, "-m", "benchmarks.device_sides", name, json.dumps(given)]
    path = os.pathsep.join(map(str, [turns.TOOLS] if is_peer else [turns.TOOLS, turns.ROOT]))
    title = f"  {'pytorch ' if is_peer else ''}{name}"
    found: dict[str, float] = {}
    last, late = "", False
    with _text_file() as said, _text_file() as log:
        environment = {**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "2"}
        process = subprocess.Popen(command, stdout=said, stderr=log, env=environment, cwd=turns.ROOT)
        try:
            process.wait(max(until - time.monotonic(), 1.0))
        except subprocess.TimeoutExpired:
            late = True
            last = "; its time was over, the rest is left out (--minutes)"
        finally:
            process.kill()
            process.wait()
        said.seek(0)
        for line in said.read().splitlines():
            answer = json.loads(line)
            found |= answer.get("speed", {})
            last = f"; {answer['said']}" + last if "said" in answer else last
        log.seek(0)
        text = log.read()
    failures = sorted({line for line in text.splitlines() if "layout failed" in line})
    if process.returncode and not late:
        last += f"; it failed: {text[-1000:]}"
    print(f"{title}: {len(found)} speeds{last}{'; '.join(['', *failures])}", flush=True)
    return found


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
    command = [sys.executable, str(turns.TOOLS / "benchmark.py"), "--subjects=paper", f"--run_dir={run}"]
    command += [f"--paper_flags={flags}", f"--paper_steps={config.paper_steps}", "--paper_precisions="]
    environment = {**os.environ, "PYTHONPATH": str(turns.ROOT)}
    try:
        subprocess.run(
            command,
            timeout=until - time.monotonic(),
            check=True,
            capture_output=True,
            text=True,
            env=environment,
            cwd=turns.ROOT,
        )
    except subprocess.TimeoutExpired:
        print("  paper: its time was over (--minutes)", flush=True)
        return []
    except subprocess.CalledProcessError as error:
        print(f"  paper: it failed: {error.stderr[-1000:]}", flush=True)
        return []
    found = json.loads((run / "benchmark.json").read_text(encoding="utf-8"))
    return [{**one, "name": f"device_{one['name']}"} for one in found if "_half" not in one["name"]]
