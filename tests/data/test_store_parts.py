import pytest

from rembrandt_featgen.data import store_parts
from rembrandt_featgen.data.store_writer import Writer
from tests.data.stored import COUNT, PER_SHARD, TENSORS, files, filled, write


def in_parts(folder, parts):
    """The folder, with the parts of "train" and of an empty "test"."""
    for part in range(parts):
        here = store_parts.folder_of(folder, part, parts)
        here.mkdir(parents=True)
        for split, count in (("train", COUNT), ("test", 0)):
            with Writer(here, split, TENSORS, per_shard=PER_SHARD) as writer:
                write(writer, *store_parts.records_of_part(count, PER_SHARD, part=part, parts=parts))
    return folder


@pytest.fixture
def whole(tmp_path):
    """What one worker writes: name of a file to its content."""
    folder = tmp_path / "whole"
    folder.mkdir()
    with Writer(folder, "test", TENSORS, per_shard=PER_SHARD):
        pass
    return files(filled(folder))


@pytest.mark.parametrize("parts", [1, 2, 3, 6, 8])
def test_joined_parts_are_the_store_of_one_writer(tmp_path, whole, parts):
    joined = in_parts(tmp_path / "joined", parts)
    store_parts.join(joined, ("train", "test"), parts)
    assert files(joined) == whole


def test_what_workers_of_another_number_left_is_deleted(tmp_path, whole):
    joined = in_parts(tmp_path / "joined", 3)
    with pytest.raises(KeyboardInterrupt), Writer(joined, "train", TENSORS, per_shard=PER_SHARD) as alone:
        write(alone, 0, PER_SHARD + 1)
        raise KeyboardInterrupt
    with Writer(joined, "test", TENSORS, per_shard=PER_SHARD):  # finished, and of no use to two
        pass
    in_parts(joined, 2)
    store_parts.drop_stale(joined, ("train", "test"), 2)
    assert sorted(path.name for path in joined.iterdir()) == ["worker0of2", "worker1of2"]
    store_parts.join(joined, ("train", "test"), 2)
    assert files(joined) == whole
    in_parts(joined, 2)
    store_parts.drop_stale(joined, ("train", "test"), 1)
    assert files(joined) == whole and not list(joined.glob("worker*"))


def test_parts_are_of_whole_shards_and_hold_each_record_once():
    for count in (0, 1, 8, 45):
        ends = [store_parts.records_of_part(count, 8, part=part, parts=4) for part in range(4)]
        assert [first for first, _ in ends] == [0, *(end for _, end in ends[:-1])] and ends[-1][1] == count
        assert all(first % 8 == 0 or first == count for first, _ in ends)
