import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data.store import Store
from rembrandt_featgen.data.store_writer import Writer
from tests.data.stored import COUNT, PER_SHARD, TENSORS, files, filled, order, write


@pytest.fixture
def folder(tmp_path):
    return filled(tmp_path)


def test_value_beyond_float16_is_named(tmp_path):
    with (
        pytest.raises(InputError, match=r"x of patient A, slice 4, reaches 65505.*--store_dtype=bfloat16 or float32"),
        Writer(tmp_path, "test", {"x": ((2,), "float16")}) as writer,
    ):
        writer.write({"x": np.array([1.0, -65505.0], np.float32)}, "A", slice_index=4, label=0)
    assert not (tmp_path / "test.jsonl").exists()


def test_shards_are_of_some_64_megabytes(tmp_path):
    with Writer(tmp_path, "train", {"feature": ((2**20, 4), "float16")}) as writer:  # 8 MiB each
        for i in range(9):
            writer.write({"feature": np.zeros((2**20, 4), np.float16)}, "A", slice_index=i, label=0)
    assert [json.loads(line)["slices"] for line in (tmp_path / "train.jsonl").read_text().splitlines()[1:-1]] == [
        list(range(8)),
        [8],
    ]


@pytest.mark.parametrize("shape", [(2, 3), (3, 2, 1), (2, 3, 2)])
def test_wrong_shape_is_quoted(shape, tmp_path):
    with (
        pytest.raises(ValueError, match=r"image must be \(2, 3, 1\), received \(.*\) \(patient A, slice 4\)"),
        Writer(tmp_path, "train", TENSORS) as writer,
    ):
        writer.write({"image": np.zeros(shape), "mask": np.zeros((2, 3))}, "A", slice_index=4, label=0)


def test_writing_that_fails_leaves_no_index(tmp_path):
    with pytest.raises(ZeroDivisionError), Writer(tmp_path, "train", TENSORS) as writer:
        write(writer, 0, 1)
        raise ZeroDivisionError
    assert not (tmp_path / "train.jsonl").exists()
    with pytest.raises(InputError, match=r"train\.jsonl is missing or damaged; delete"):
        Store(tmp_path, "train")


def test_written_again_it_is_as_if_for_the_first_time(folder):
    with Writer(folder, "train", {"x": ((1,), "float32")}) as writer:
        writer.write({"x": np.ones(1)}, "A", slice_index=9, label=0)
    assert order(Store(folder, "train").dataset()) == [9]
    assert sorted(files(folder)) == ["train-00000.tfrecord", "train.jsonl"]


def test_empty_split(tmp_path):
    with Writer(tmp_path, "train", TENSORS):
        pass
    found = Store(tmp_path, "train")
    assert len(found) == 0
    assert order(found.dataset()) == []


def left_behind(folder, records):
    """What a writer that was killed after `records` records leaves."""
    writer = Writer(folder, "train", TENSORS, per_shard=PER_SHARD)
    write(writer, 0, records)
    if writer._pending:
        writer._pending.result()


@pytest.mark.parametrize(("written", "kept"), [(0, 0), (7, 0), (8, 0), (9, 8), (24, 16), (25, 24), (45, 40)])
def test_resumed_after_the_last_whole_shard(written, kept, tmp_path):
    (tmp_path / "whole").mkdir()
    with Writer(tmp_path / "whole", "train", TENSORS, per_shard=PER_SHARD) as writer:
        write(writer, 0, COUNT)
    broken = tmp_path / "broken"
    broken.mkdir()
    left_behind(broken, written)
    times = {path: path.stat().st_mtime_ns for path in broken.glob("*.tfrecord")}
    with Writer(broken, "train", TENSORS, per_shard=PER_SHARD, resume=True) as writer:
        assert len(writer) == kept
        write(writer, len(writer), COUNT)
    assert files(broken) == files(tmp_path / "whole")
    assert times == {path: path.stat().st_mtime_ns for path in times}


def test_resumed_when_all_was_done(folder):
    before = files(folder)
    with Writer(folder, "train", TENSORS, per_shard=PER_SHARD, resume=True) as writer:
        assert len(writer) == COUNT
    assert files(folder) == before


@pytest.mark.parametrize("damage", ["torn line", "shard cut", "shard gone", "half a shard"])
def test_resumed_after_a_kill_in_the_middle(damage, folder, tmp_path):
    whole = files(folder)
    (folder / "train.jsonl").rename(folder / "train.jsonl.part")
    lines = (folder / "train.jsonl.part").read_text().splitlines(keepends=True)
    (folder / "train.jsonl.part").write_text("".join(lines[:6]) + lines[6][: 20 if damage == "torn line" else 0])
    last = folder / "train-00004.tfrecord"
    if damage == "shard cut":
        last.write_bytes(last.read_bytes()[:-3])
    elif damage == "shard gone":
        last.unlink()
    elif damage == "half a shard":
        (folder / "train-00005.tfrecord.part").write_bytes(b"half")
    with Writer(folder, "train", TENSORS, per_shard=PER_SHARD, resume=True) as writer:
        assert len(writer) == (32 if damage in ("shard cut", "shard gone") else 40)
        write(writer, len(writer), COUNT)
    assert files(folder) == whole


def test_a_kill_as_it_resumes_loses_no_shard(folder, monkeypatch):
    (folder / "train.jsonl").rename(folder / "train.jsonl.part")

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "replace", killed)
        Writer(folder, "train", TENSORS, per_shard=PER_SHARD, resume=True)
    with Writer(folder, "train", TENSORS, per_shard=PER_SHARD, resume=True) as writer:
        assert len(writer) == COUNT


def test_not_resumed_with_other_settings(folder):
    with Writer(folder, "train", TENSORS, codec="lz4", per_shard=PER_SHARD, resume=True) as writer:
        assert len(writer) == 0
        write(writer, 0, 3)
    assert order(Store(folder, "train").dataset()) == [0, 1, 2]


def test_killed_writer_is_resumed(tmp_path):
    """SIGKILL while shards are being written."""
    script = f"""
import time
import numpy as np
from rembrandt_featgen.data.store_writer import Writer
with Writer("{tmp_path}", "train", {{"x": ((1000,), "float32")}}, codec="lz4", per_shard=4, resume=True) as writer:
    for i in range(len(writer), 10_000):
        writer.write({{"x": np.full(1000, i)}}, "A", slice_index=i, label=0)
        time.sleep(0.001)
"""
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    deadline = time.time() + 120
    while len(list(tmp_path.glob("*.tfrecord"))) < 3 and time.time() < deadline and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    with Writer(tmp_path, "train", {"x": ((1000,), "float32")}, codec="lz4", per_shard=4, resume=True) as writer:
        done = len(writer)
        for i in range(done, done + 6):
            writer.write({"x": np.full(1000, i)}, "A", slice_index=i, label=0)
    assert done >= 8
    assert done % 4 == 0
    records = list(Store(tmp_path, "train").dataset().as_numpy_iterator())
    assert [record["x"][0] for record in records] == list(range(done + 6))


def test_shard_is_written_while_the_next_is_gathered(tmp_path, monkeypatch):
    begun, may_end = [], []
    original = Writer._write_shard

    def slow(self, number, records):
        begun.append(number)
        while not may_end:
            time.sleep(0.001)
        original(self, number, records)

    monkeypatch.setattr(Writer, "_write_shard", slow)
    with Writer(tmp_path, "train", TENSORS, per_shard=PER_SHARD) as writer:
        write(writer, 0, 2 * PER_SHARD)  # would wait for ever if the first shard were written before it
        may_end.append(True)
        write(writer, 2 * PER_SHARD, COUNT)
    assert begun == list(range(6))
    assert order(Store(tmp_path, "train").dataset()) == list(range(COUNT))


def test_error_of_the_thread_is_not_lost(tmp_path, monkeypatch):
    def full(self, number, records):
        raise OSError("No space left on device")

    monkeypatch.setattr(Writer, "_write_shard", full)
    with (
        pytest.raises(OSError, match="No space left"),
        Writer(tmp_path, "train", TENSORS, per_shard=PER_SHARD) as writer,
    ):
        write(writer, 0, 3)
    assert not (tmp_path / "train.jsonl").exists()
