import json
from pathlib import Path

import numpy as np
import pytest

from rembrandt_featgen.core import json_files
from tests.core.test_rundir import Killed, die


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (float("nan"), None),
        (float("-inf"), None),
        (np.float32("nan"), None),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.array([[1.0, np.nan]]), [[1.0, None]]),
        (np.array(["a"]), ["a"]),
        ((1, (2.5, None)), [1, [2.5, None]]),
        ({1: (np.inf, "x"), "p": Path("a/b")}, {"1": [None, "x"], "p": "a/b"}),
        (True, True),
        ("nan", "nan"),
    ],
)
def test_plain(value, wanted):
    found = json_files.plain(value)
    assert found == wanted
    assert type(found) is type(wanted)
    assert json.loads(json.dumps(found, allow_nan=False)) == wanted


@pytest.mark.parametrize("value", [{"a": object()}, {"a": 2}])
def test_write_json_is_whole_or_not_at_all(value, tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    json_files.write_json(path, {"a": (1, np.nan)})
    assert json_files.read_json(path) == {"a": [1, None]}
    monkeypatch.setattr(Path, "replace", die)
    with pytest.raises((Killed, TypeError)):
        json_files.write_json(path, value)
    assert json_files.read_json(path) == {"a": [1, None]}


def test_a_kill_as_a_journal_is_resumed_loses_no_row(tmp_path, monkeypatch):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n{"a": 2')

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "replace", killed)
        json_files.resume_journal(path)
    assert json_files.resume_journal(path) == [{"a": 1}]
    assert path.read_text() == '{"a": 1}\n'
    with monkeypatch.context() as patch:  # one that is whole is not written again
        patch.setattr(Path, "write_text", killed)
        assert json_files.resume_journal(path) == [{"a": 1}]
    assert [one.name for one in tmp_path.iterdir()] == ["rows.jsonl"]


def test_a_journal_goes_on_after_its_last_whole_line(tmp_path):
    path, rows = tmp_path / "rows.jsonl", [{"a": 1.5}, {"a": float("inf"), "b": "é\n"}]
    assert json_files.resume_journal(path) == []
    with path.open("a") as file:
        for row in rows:
            json_files.append_row(file, row)
        file.write('{"a": 2')
    assert json_files.resume_journal(path) == rows
    with path.open("a") as file:
        json_files.append_row(file, {})
    assert json_files.resume_journal(path) == [*rows, {}]
