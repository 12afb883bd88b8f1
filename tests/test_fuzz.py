"""tools/fuzz.py: no reader gives way to damaged files, and the tool notices one that does."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
from absl import logging
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rembrandt_featgen.core.errors import InputError

TOOLS = Path(__file__).parent.parent / "tools"
sys.path.insert(0, str(TOOLS))
fuzz = importlib.import_module("fuzz")
limits, lines, mutations, session, target = (
    importlib.import_module(f"fuzzing.{name}") for name in ("limits", "lines", "mutations", "session", "target")
)
TARGETS = fuzz.targets()
EXAMPLES = 15  # of each target; tools/README.md has the counts of long runs


@pytest.fixture(autouse=True)
def _quiet():
    before = logging.get_verbosity()
    logging.set_verbosity(logging.FATAL)
    yield
    logging.set_verbosity(before)


def _read(name, data):
    folder = session.scratch()
    try:
        TARGETS[name].read(data, folder)
    finally:
        session.shutil.rmtree(folder)


@pytest.mark.parametrize("name", TARGETS)
def test_valid_files_are_read(name):
    read = 0
    for data in TARGETS[name].seeds():
        try:
            _read(name, data)
            read += 1
        except InputError:
            pass
    assert read, "no valid file is read: the damaged ones say nothing"


@pytest.mark.parametrize("name", TARGETS)
@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
@given(draw=st.randoms(use_true_random=False))
def test_damaged_files_are_read_or_refused_in_one_line(name, draw):
    one = TARGETS[name]
    seeds = one.seeds()
    kind = mutations.Kind(seeds, one.fields, one.tokens)
    data = mutations.damaged(draw.choice(seeds), one.shape, draw, kind=kind)
    try:
        _read(name, data)
    except InputError as error:
        assert limits.of_error(error) is None


def _reader(data, folder):
    if b"K" in data:
        raise KeyError("a defect")
    if b"M" in data:
        np.ones(4 * 10**7)
    if b"S" in data:
        while True:
            pass
    if b"H" in data:
        (folder / "half.part").write_bytes(data)
    if b"I" in data:
        raise InputError("refused")
    if b"Q" in data:
        sys.exit(1)


@pytest.mark.parametrize(
    ("data", "signature"),
    [
        (b"", None),
        (b"I", None),
        (b"K", "KeyError in test_fuzz.py"),
        (b"M", "memory"),
        (b"S", "Hang in test_fuzz.py"),
        (b"H", "half-written"),
        (b"Q", "SystemExit in test_fuzz.py"),
    ],
)
def test_what_no_reader_may_do_is_found(tmp_path, monkeypatch, data, signature):
    monkeypatch.setattr(limits, "SECONDS", 0.5 if data == b"S" else 60.0)
    at_work = session.Session(target.Target("x", _reader, lambda: [b""], code="core/errors"), tmp_path, 3)
    at_work.read(data)
    found = at_work.state["findings"]
    at_work.close()
    assert [name.partition(":")[0] for name in found] == ([signature] if signature else [])
    assert len(list(tmp_path.glob("findings/*.bin"))) == len(found)
    assert at_work.state["inputs"] == 1 and at_work.state["refused"] == (data == b"I")


def test_a_seed_gives_the_same_inputs_and_a_run_resumes(tmp_path):
    read: dict[str, list[bytes]] = {"a": [], "b": []}

    def one(name):
        return target.Target(
            name, lambda data, folder: read[name].append(data), lambda: [b"a,b\n1,2\n"], "core/errors", "text"
        )

    for name in read:
        session.work(one(name), tmp_path / name, inputs=8, seed=3)
    assert read["a"] == read["b"] and len(set(read["a"])) > 3
    session.work(one("a"), tmp_path / "a", inputs=12, seed=3)
    assert len(read["a"]) == 12


def test_lines_that_inputs_reach_are_counted(tmp_path):
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "seed0").write_bytes(b"{")
    counted = lines.measure(TARGETS["split"], tmp_path)
    assert 0 < counted["seeds"] < counted["corpus"] < counted["lines"]
