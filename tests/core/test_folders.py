import errno
import fcntl
import io
import os
from pathlib import Path

import pytest

from rembrandt_featgen.core import folders
from rembrandt_featgen.core.errors import BusyError, InputError


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(folders, "_PATIENCE", 0.0)


def test_one_at_a_time(tmp_path):
    path = tmp_path / ".lock"
    with folders.lock(path, tmp_path):
        for _ in range(2):  # who waits does not take the name of who works off the file
            with pytest.raises(BusyError, match=rf"at work on {tmp_path} \(process {os.getpid()} on ") as caught:
                folders.lock(path, tmp_path).__enter__()
            assert "\n" not in str(caught.value)
    path.write_text("process 1 on a machine that was switched off\n" * 9)  # a lock that is left over
    with folders.lock(path, tmp_path):
        assert path.read_text().startswith(f"process {os.getpid()} on ")
        assert len(path.read_text().splitlines()) == 1


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks(number, tmp_path, monkeypatch):
    def flock(file, how):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(InputError, match=r"has no locks \(.+\); make sure .* --no_lock") as caught:
        folders.lock(tmp_path / ".lock", tmp_path).__enter__()
    assert not isinstance(caught.value, BusyError)
    with folders.without_locks(), folders.lock(tmp_path / ".lock", tmp_path):
        assert os.environ[folders._WITHOUT]  # so that workers do not lock either
    with pytest.raises(InputError, match="no locks"):
        folders.lock(tmp_path / ".lock", tmp_path).__enter__()


@pytest.mark.parametrize("number", [errno.ESPIPE, errno.EPERM])
def test_a_file_system_that_writes_to_new_files_alone(number, tmp_path, monkeypatch):
    """As rclone's without a cache, from the second time on."""

    class File(io.FileIO):
        def write(self, data):
            raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda path, *_, **__: File(path, "a+"))
        with pytest.raises(InputError, match=r"does not add to files that are there \(.+\), as runs do;") as caught:
            folders.lock(tmp_path / ".lock", tmp_path).__enter__()
    assert not isinstance(caught.value, BusyError)
    with folders.lock(tmp_path / ".lock", tmp_path):  # it was freed
        pass


@pytest.mark.parametrize("number", [errno.EWOULDBLOCK, errno.EACCES])
def test_network_file_systems_say_in_two_ways_that_it_is_held(number, tmp_path, monkeypatch):
    def flock(file, how):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(BusyError, match="another process is at work"):
        folders.lock(tmp_path / ".lock", tmp_path).__enter__()


def test_a_file_is_as_it_was_until_it_is_whole(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("before")
    with pytest.raises(KeyboardInterrupt), folders.whole(path) as temporary:
        temporary.write_text("half")
        assert path.read_text() == "before"
        raise KeyboardInterrupt
    assert [one.name for one in tmp_path.iterdir()] == ["table.csv"] and path.read_text() == "before"
    with folders.whole(path) as temporary:
        temporary.write_text("after")
    assert [one.name for one in tmp_path.iterdir()] == ["table.csv"] and path.read_text() == "after"
