"""Has the readers of this program read damaged files, and keeps what they cannot take.

python tools/fuzz.py --target=nifti,gzip --inputs=10000 --seed=0 --out=FOLDER

Inputs are valid small files with damage (`fuzzing/mutations.py`). Where atheris can be imported, they are chosen by the
code that they reach; else (or with --engine=plain) they are drawn from the valid ones and from those before. Whatever
ends otherwise than by a value or one InputError, takes more than 10 s or 256 MB of memory, or leaves a file behind, is
a finding: the input and a text on it go to OUT/<target>/findings. A run that was ended resumes, also after a crash.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from rembrandt_featgen.core import cli  # noqa: E402
from rembrandt_featgen.core.errors import InputError  # noqa: E402

_MODULES = ("image_targets", "table_targets", "run_targets")
_SAVED_EACH = 200  # inputs
_KEPT = 3  # inputs of a kind of finding
_INSTRUMENTED = ["rembrandt_featgen", "nibabel", "zipfile", "gzip", "csv", "json", "absl"]


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags."""

    target: tuple[str, ...] = cli.flag((), "Names of targets; none for all of them.")
    inputs: int = cli.flag(10_000, "Inputs for each target, those of a run that was ended included.", minimum=1)
    seed: int = cli.flag(0, "Where the damage comes from; with --engine=plain a seed gives the same inputs.", minimum=0)
    out: str = cli.flag("/tmp/fuzz", "Folder of the findings, the inputs that reach new code, and the counts.")
    engine: str = cli.flag(
        "auto", "What chooses inputs; auto is atheris if there is one.", choices=("auto", "atheris", "plain")
    )
    replay: str = cli.flag("", "A file that is read once by the one --target, without limits.")
    worker: bool = cli.flag(False, "Reads in this process; without, each target has a process of its own.")


def targets() -> dict:
    """Name to target, of all."""
    found = [importlib.import_module(f"fuzzing.{name}").TARGETS for name in _MODULES]
    return {one.name: one for group in found for one in group}


class Session:
    """The inputs of one target, one after the other.

    Args:
      target: a `fuzzing.target.Target`.
      out: folder of this target.
      inputs: how many there are to be, with those of earlier processes.
    """

    def __init__(self, target, out: Path, inputs: int):
        from fuzzing import limits

        self.target, self.out, self.inputs, self._limits = target, out, inputs, limits
        self.state = {"inputs": 0, "refused": 0, "read": 0, "slowest": 0.0, "findings": {}}
        if (out / "state.json").exists():
            self.state = json.loads((out / "state.json").read_text())
        memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
        self._folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir=memory))
        self._current = out / "current"

    @property
    def done(self) -> bool:
        """Whether all inputs were read."""
        return self.state["inputs"] >= self.inputs

    def read(self, data: bytes) -> None:
        """Has the reader read one input, and notes what comes of it."""
        limits = self._limits
        self._current.write_bytes(data)
        limits.forget_peak()
        before, begin, finding = limits.memory(), time.process_time(), None
        try:
            with limits.seconds():
                self.target.read(data, self._folder)
            self.state["read"] += 1
        except (Exception, limits.Hang, SystemExit) as error:
            finding = limits.of_error(error)
            self.state["refused"] += finding is None
        finding = finding or limits.of_memory(before, limits.memory()) or self._left_behind()
        self.state["slowest"] = round(max(self.state["slowest"], time.process_time() - begin), 2)
        if finding:
            self.note(finding, data)
        for path in self._folder.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        self.state["inputs"] += 1
        if self.done or self.state["inputs"] % _SAVED_EACH == 0:
            self.save()

    def _left_behind(self):
        names = [path.name for path in self._folder.rglob("*") if path.name.endswith((".part", ".tmp"))]
        return self._limits.Finding("half-written", ", ".join(names)) if names else None

    def note(self, finding, data: bytes) -> None:
        """Keeps a finding and, of the first of its kind, the inputs."""
        known = self.state["findings"]
        known[finding.signature] = known.get(finding.signature, 0) + 1
        if known[finding.signature] <= _KEPT:
            name = "".join(letter if letter.isalnum() else "_" for letter in finding.signature)
            folder = self.out / "findings"
            folder.mkdir(exist_ok=True)
            (folder / f"{name}-{known[finding.signature]}.bin").write_bytes(data)
            (folder / f"{name}-{known[finding.signature]}.txt").write_text(finding.text, errors="replace")
            print(f"{self.target.name}: {finding.signature}", flush=True)
            self.save()

    def save(self) -> None:
        """Writes the counts."""
        (self.out / "state.json").write_text(json.dumps(self.state))

    def close(self) -> None:
        """Deletes the scratch folder."""
        shutil.rmtree(self._folder, ignore_errors=True)


def work(config: Config) -> None:
    """Reads inputs of one target in this process."""
    atheris = None if config.engine == "plain" else _atheris(required=config.engine == "atheris")
    from fuzzing import limits, mutations  # after `_atheris`, which instruments what is imported

    logging = importlib.import_module("absl.logging")
    if atheris:
        with atheris.instrument_imports(include=_INSTRUMENTED):
            known = targets()
    else:
        known = targets()
    logging.set_verbosity(logging.FATAL)
    target = known[config.target[0]]
    out = Path(config.out, target.name)
    corpus = out / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    seeds = target.seeds()
    for number, content in enumerate(seeds):
        (corpus / f"seed{number}").write_bytes(content)
    session = Session(target, out, config.inputs)
    limits.set_up()

    def damaged(data: bytes, draw: random.Random) -> bytes:
        return mutations.damaged(data, target.shape, draw, others=seeds, fields=target.fields, tokens=target.tokens)

    draw = random.Random(f"{config.seed} {session.state['inputs']}")
    if session.done:
        return
    if atheris:

        def mutator(data: bytes, size: int, seed: int) -> bytes:
            one = random.Random(seed)
            return damaged(data if data and one.random() < 0.9 else one.choice(seeds), one)[:size]

        arguments = [sys.argv[0], str(corpus), f"-runs={config.inputs}", f"-max_len={mutations.LONGEST}", "-timeout=0"]
        arguments += [f"-seed={draw.randrange(1, 2**31)}", "-rss_limit_mb=0", "-verbosity=0", "-len_control=0"]

        def one_input(data: bytes) -> None:
            if session.done:
                session.close()
                os._exit(0)
            session.read(data)

        atheris.Setup(arguments, one_input, custom_mutator=mutator)
        atheris.Fuzz()
        return
    pool = list(seeds)
    while not session.done:
        before = session.state["read"]
        data = damaged(draw.choice(pool), draw)
        session.read(data)
        if session.state["read"] > before:
            pool = [*pool, data][-1000:]  # damage that is read gathers
    session.close()


def _atheris(*, required: bool):
    try:
        return importlib.import_module("atheris")
    except ImportError:
        if required:
            raise InputError(
                "--engine=atheris: it is not installed; pip install --target=DIR atheris==3.0.0, and add DIR to "
                "PYTHONPATH"
            ) from None
        return None


def measure(target, out: Path) -> dict:
    """Lines of the readers that the valid inputs reach, that the whole corpus does, and how many there are."""
    from fuzzing import limits, lines

    counts, counter = {}, lines.Lines(target.files)
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    for name, inputs in (
        ("seeds", target.seeds()),
        ("corpus", [p.read_bytes() for p in sorted((out / "corpus").iterdir())]),
    ):
        for data in inputs:
            with counter.counted():
                try:
                    with limits.seconds():
                        target.read(data, folder)
                except (Exception, limits.Hang):
                    pass
            shutil.rmtree(folder)
            folder.mkdir()
        counts[name] = len(counter.reached & counter.all)
    shutil.rmtree(folder)
    return {**counts, "lines": len(counter.all), "inputs_kept": len(list((out / "corpus").iterdir()))}


def run(config: Config) -> None:
    """Runs a process for each target until all inputs are read, and prints a table of the counts."""
    known = targets()
    names = cli.some_of("target", config.target or list(known), known)
    if config.replay:
        folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
        known[names[0]].read(Path(config.replay).read_bytes(), folder)
        shutil.rmtree(folder)
        return
    if config.worker:
        work(config)
        return
    print("| target | inputs | read | refused | lines by valid files | by all | of | slowest, s | findings |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in names:
        out = Path(config.out, name)
        out.mkdir(parents=True, exist_ok=True)
        crashes = 0
        while True:
            command = [sys.executable, __file__, f"--target={name}", "--worker", f"--inputs={config.inputs}"]
            command += [f"--seed={config.seed + crashes}", f"--out={config.out}", f"--engine={config.engine}"]
            with (out / "log.txt").open("a") as log:
                code = subprocess.run(command, stdout=log, stderr=log).returncode
            state = json.loads((out / "state.json").read_text()) if (out / "state.json").exists() else {"inputs": 0}
            if state["inputs"] >= config.inputs:
                break
            crashes += 1
            print(f"{name}: ended with {code} after {state['inputs']} inputs", flush=True)
            if crashes > 50:
                break
            shutil.copy(out / "current", out / f"crash-{crashes}.bin")
        lines = measure(known[name], out)
        cells = [
            name,
            state["inputs"],
            state["read"],
            state["refused"],
            lines["seeds"],
            lines["corpus"],
            lines["lines"],
        ]
        cells += [state["slowest"], "; ".join(f"{k}: {v}" for k, v in state["findings"].items()) or "none"]
        print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    cli.main(Config, run, about=__doc__)
