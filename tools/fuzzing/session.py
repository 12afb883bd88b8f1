"""The inputs of one target: read one after the other, counted, and kept where they did what none may."""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from absl import logging

from fuzzing import limits, mutations
from fuzzing.target import Target

_SAVED_EACH = 200  # inputs
_KEPT = 3  # inputs of a kind of finding
_POOL = 1000  # inputs that were read, from which others are made


def scratch() -> Path:
    """An empty folder, in memory where there is such a place."""
    return Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))


class Session:
    """The inputs of one target.

    Args:
      target: that reads them.
      out: folder of this target.
      inputs: how many there are to be, with those of earlier processes.
    """

    def __init__(self, target: Target, out: Path, inputs: int):
        self.target, self.out, self.inputs = target, out, inputs
        self.state: dict[str, Any] = {"inputs": 0, "refused": 0, "read": 0, "slowest": 0.0, "findings": {}}
        out.mkdir(parents=True, exist_ok=True)
        if (out / "state.json").exists():
            self.state = json.loads((out / "state.json").read_text(encoding="utf-8"))
        self._folder = scratch()

    @property
    def done(self) -> bool:
        """Whether all inputs were read."""
        return self.state["inputs"] >= self.inputs

    def read(self, data: bytes) -> None:
        """Has the reader read one input, and notes what comes of it."""
        (self.out / "current").write_bytes(data)
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
            self._note(finding, data)
        for path in self._folder.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        self.state["inputs"] += 1
        if self.done or self.state["inputs"] % _SAVED_EACH == 0:
            self.save()

    def _left_behind(self) -> limits.Finding | None:
        names = [path.name for path in self._folder.rglob("*") if path.name.endswith((".part", ".tmp"))]
        return limits.Finding("half-written", ", ".join(names)) if names else None

    def _note(self, finding: limits.Finding, data: bytes) -> None:
        """Counts a finding, and keeps the first inputs of its kind."""
        known = self.state["findings"]
        known[finding.signature] = known.get(finding.signature, 0) + 1
        if known[finding.signature] <= _KEPT:
            name = "".join(letter if letter.isalnum() else "_" for letter in finding.signature)
            folder = self.out / "findings"
            folder.mkdir(exist_ok=True)
            (folder / f"{name}-{known[finding.signature]}.bin").write_bytes(data)
            text = folder / f"{name}-{known[finding.signature]}.txt"
            text.write_text(finding.text, encoding="utf-8", errors="replace")
            self.save()

    def save(self) -> None:
        """Writes the counts."""
        (self.out / "state.json").write_text(json.dumps(self.state), encoding="utf-8")

    def close(self) -> None:
        """Deletes the scratch folder."""
        shutil.rmtree(self._folder, ignore_errors=True)


def work(target: Target, out: Path, *, inputs: int, seed: int, atheris=None) -> Session:
    """Reads inputs of one target in this process until there are enough; with atheris it ends the process then.

    Args:
      target: that reads them.
      out: folder of this target.
      inputs: how many there are to be.
      seed: where the damage comes from.
      atheris: the module, which chooses inputs by the code that they reach; None draws them.
    """
    logging.set_verbosity(logging.FATAL)
    session = Session(target, out, inputs)
    seeds = target.seeds()
    kind = mutations.Kind(seeds, target.fields, target.tokens)
    corpus = out / "corpus"
    corpus.mkdir(exist_ok=True)
    for number, content in enumerate(seeds):
        (corpus / f"seed{number}").write_bytes(content)
    draw = random.Random(f"{seed} {session.state['inputs']}")
    if atheris and not session.done:
        _guided(session, kind, atheris=atheris, seed=draw.randrange(1, 2**31))
    pool = list(seeds)
    while not session.done:
        before = session.state["read"]
        data = mutations.damaged(draw.choice(pool), target.shape, draw, kind=kind)
        session.read(data)
        if session.state["read"] > before:
            pool = [*pool, data][-_POOL:]  # damage that is read gathers
    session.close()
    return session


def _guided(session: Session, kind: mutations.Kind, *, atheris, seed: int) -> None:
    def mutator(data: bytes, size: int, number: int) -> bytes:
        draw = random.Random(number)
        chosen = data if data and draw.random() < 0.9 else draw.choice(list(kind.others))
        return mutations.damaged(chosen, session.target.shape, draw, kind=kind)[:size]

    def one_input(data: bytes) -> None:
        if session.done:
            session.close()
            os._exit(0)
        session.read(data)

    arguments = [
        sys.argv[0],
        str(session.out / "corpus"),
        f"-max_len={mutations.LONGEST}",
        f"-seed={seed}",
        "-timeout=0",
    ]
    arguments += ["-rss_limit_mb=0", "-verbosity=0", "-len_control=0", "-mutate_depth=1"]
    atheris.Setup(arguments, one_input, custom_mutator=mutator)
    atheris.Fuzz()
