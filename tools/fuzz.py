"""Has the readers of this program read damaged files, and keeps what they cannot take.

python tools/fuzz.py --target=nifti,gzip --inputs=10000 --seed=0 --out=FOLDER

Inputs are valid small files with damage (`fuzzing/mutations.py`). Where atheris can be imported, they are chosen by the
code that they reach; else (or with --engine=plain) they are drawn from the valid ones and from those before. Whatever
ends otherwise than by a value or one InputError, takes more than 10 s or 256 MB of memory, or leaves a file behind, is
a finding: the input and a text on it go to OUT/<target>/findings. A run that was ended resumes, also after a crash.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

_READERS = "core cohort data features nn.weights evaluation.pooled_tasks evaluation.predictions"
_READERS += " segmentation.tensorlayer_files segmentation.weight_records"
_INSTRUMENTED = ["nibabel", "zipfile", "gzip", "csv", *(f"rembrandt_featgen.{name}" for name in _READERS.split())]
_GUIDED = "--engine=plain" not in sys.argv and importlib.util.find_spec("atheris")
_ATHERIS = importlib.import_module("atheris") if _GUIDED else None


def _instrumented():
    """What is imported within counts the code that an input reaches, where atheris chooses inputs."""
    return _ATHERIS.instrument_imports(include=_INSTRUMENTED) if _ATHERIS else contextlib.nullcontext()


with _instrumented():
    from rembrandt_featgen.core import cli
    from rembrandt_featgen.core.errors import InputError

_MODULES = ("image_targets", "table_targets", "run_targets")
_ENGINES = ("auto", "atheris", "plain")
_MOST_CRASHES = 50  # of the process of a target
_TITLES = "| target | inputs | read | refused | lines by valid files | by all | of | slowest, s | findings |"


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags."""

    target: tuple[str, ...] = cli.flag((), "Names of targets; none for all of them.")
    inputs: int = cli.flag(10_000, "Inputs for each target, those of a run that was ended included.", minimum=1)
    seed: int = cli.flag(0, "Where the damage comes from; with --engine=plain a seed gives the same inputs.", minimum=0)
    out: str = cli.flag("/tmp/fuzz", "Folder of the findings, the inputs that reach new code, and the counts.")
    engine: str = cli.flag("auto", "What chooses inputs; auto is atheris if there is one.", choices=_ENGINES)
    here: bool = cli.flag(False, "Reads the inputs in this process, and measures their lines; what the others call.")
    replay: str = cli.flag("", "A file that is read once by the one --target, without limits.")


def targets() -> dict:
    """Name to target, of all."""
    with _instrumented():
        found = [importlib.import_module(f"fuzzing.{name}").TARGETS for name in _MODULES]
    return {one.name: one for group in found for one in group}


def run(config: Config) -> None:
    """Runs a process for each target until all inputs are read, and prints a table of the counts."""
    if config.engine == "atheris" and not importlib.util.find_spec("atheris"):
        raise InputError(
            "--engine=atheris: it is not installed; pip install --target=DIR atheris==3.0.0, and add DIR to PYTHONPATH"
        )
    known = targets()
    names = cli.some_of("target", config.target or list(known), known)
    from fuzzing import session  # after what is instrumented

    if config.replay:
        folder = session.scratch()
        known[names[0]].read(Path(config.replay).read_bytes(), folder)
        shutil.rmtree(folder)
        return
    if config.here:
        _work(config, known[names[0]], Path(config.out, names[0]), seed=config.seed)
        return
    print(f"{_TITLES}\n{'|---' * (_TITLES.count('|') - 1)}|", flush=True)
    for name in names:
        out = Path(config.out, name)
        state = _until_done(config, known[name], out)
        reached = {"seeds": "", "corpus": "", "lines": ""}
        if (out / "lines.json").exists():
            reached = json.loads((out / "lines.json").read_text(encoding="utf-8"))
        cells = [name, *(state[count] for count in ("inputs", "read", "refused"))]
        cells += [reached[count] for count in ("seeds", "corpus", "lines")]
        cells += [state["slowest"], "; ".join(f"{kind}: {n}" for kind, n in state["findings"].items()) or "none"]
        print(f"| {' | '.join(map(str, cells))} |", flush=True)


def _until_done(config: Config, target, out: Path) -> dict:
    """The counts of a target, whose process is started again where an input ended it."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "lines.json").unlink(missing_ok=True)
    state: dict = {"inputs": 0, "read": 0, "refused": 0, "slowest": 0.0, "findings": {}}
    for crashes in range(_MOST_CRASHES):
        seed = config.seed + crashes
        if target.alone:
            code = _apart(config, target, out / "log.txt", seed=seed)
        else:
            code = _in_child(functools.partial(_work, config, target, out, seed=seed), out / "log.txt")
        if (out / "state.json").exists():
            state = json.loads((out / "state.json").read_text(encoding="utf-8"))
        if state["inputs"] >= config.inputs:
            if (out / "lines.json").exists():
                break
            continue  # once more, to measure lines
        print(f"{target.name}: ended with {code} after {state['inputs']} inputs, see {out / 'log.txt'}", flush=True)
        if (out / "current").exists():
            shutil.copy(out / "current", out / f"crash-{crashes}.bin")
    return state


def _work(config: Config, target, out: Path, *, seed: int) -> None:
    """Reads the inputs of a target, or where they are read, notes the lines that they reach."""
    from fuzzing import limits, lines, session

    state = out / "state.json"
    if state.exists() and json.loads(state.read_text(encoding="utf-8"))["inputs"] >= config.inputs:
        (out / "lines.json").write_text(json.dumps(lines.measure(target, out)), encoding="utf-8")
        return
    limits.set_up(capped=not target.alone)
    session.work(target, out, inputs=config.inputs, seed=seed, atheris=_ATHERIS)


def _apart(config: Config, target, log: Path, *, seed: int) -> int:
    """The end of a new process that does the same."""
    command = [sys.executable, __file__, f"--target={target.name}", "--here", f"--inputs={config.inputs}"]
    command += [f"--seed={seed}", f"--out={config.out}", f"--engine={config.engine}"]
    with log.open("a", encoding="utf-8") as file:
        return subprocess.run(command, stdout=file, stderr=file).returncode


def _in_child(call: Callable[[], None], log: Path) -> int:
    """The end of a process that calls a function: to import all anew takes longer than thousands of inputs."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    try:
        with log.open("a", encoding="utf-8") as file:
            for stream in (1, 2):
                os.dup2(file.fileno(), stream)
        call()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    cli.main(Config, run, about=__doc__)
