"""A run on a disk that cannot be written to: what is finished is found, and what is not is refused in one line."""

import dataclasses
import errno
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from rembrandt_featgen.core import cli, folders, registry, rundir
from rembrandt_featgen.core.errors import InputError

ROOT = Path(__file__).parents[2]
STAGE = registry.StageInfo("work", "work", "works")


@dataclasses.dataclass(frozen=True)
class Config:
    run_dir: str = cli.flag("", "Folder.", required=True, path=True)
    width: int = cli.flag(4, "Width.")


def do(run, digest="d1", **settings):
    """Does the stage "work" where it is not done; whether it was."""
    with rundir.open_stage(Config(str(run), **settings), "work", digests={"before": digest}) as stage:
        done = stage.done
        if not done:
            (stage.path / "result.txt").write_text("result")
            stage.complete()
    return done


def content(folder):
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A folder in which the stage "work" is done."""
    monkeypatch.setitem(registry.STAGES, "work", STAGE)
    assert not do(tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture(params=[errno.EROFS, errno.EACCES], ids=["read-only disk", "folder of somebody else"])
def refused(run, request, monkeypatch):
    """Has lock files in it be refused; the number of the error."""
    number, opened = request.param, Path.open

    def open_path(path, mode="r", *args, **kwargs):
        if path.name.endswith(".lock") and mode.startswith("a"):
            raise OSError(number, os.strerror(number), str(path))
        return opened(path, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", open_path)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    return number


def test_what_is_finished_is_found(run, refused):
    (run / "work" / "checkpoints").mkdir()  # of a kill, before the disk was read-only
    before = content(run)
    with folders.working_on(run):
        assert do(run)
    assert content(run) == before


def test_what_is_not_finished_is_refused_and_left_as_it_is(run, refused):
    before = content(run)
    with pytest.raises(OSError, match=r"\.work\.lock") as caught:
        do(run, "d2")  # of other inputs
    assert caught.value.errno == refused
    with pytest.raises(InputError, match="width"):
        do(run, width=5)
    assert content(run) == before
    (run / "work").rename(run / "work.part")
    before = content(run)
    with pytest.raises(OSError, match=r"\.work\.lock"):
        do(run)
    assert content(run) == before


def test_a_lock_of_somebody_else_in_a_folder_that_can_be_written_to_is_no_leave(run, refused, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: True)
    for opened in (lambda: do(run), lambda: folders.working_on(run).__enter__()):
        with pytest.raises(OSError, match=r"\.lock"):
            opened()


def test_a_text_is_written_only_where_it_differs(tmp_path, monkeypatch):
    path = tmp_path / "flags.txt"
    for text in ("--a=1\n", "--a=é\n"):
        folders.keep_text(path, text)
        assert path.read_bytes() == text.encode()
    monkeypatch.setattr(Path, "write_bytes", None)
    folders.keep_text(path, "--a=é\n")
    with pytest.raises(TypeError):
        folders.keep_text(path, "--a=2\n")


def test_on_a_disk_that_is_read_only(run):
    script = """
    from pathlib import Path
    from rembrandt_featgen.core import cli, folders, registry
    from tests.core import test_read_only
    registry.STAGES["work"] = test_read_only.STAGE
    def run(config):
        with folders.working_on(Path(config.run_dir)):
            print(test_read_only.do(config.run_dir), test_read_only.do(config.run_dir, "d2"))
    cli.main(test_read_only.Config, run, about="")
    """
    mounted = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    alone = ["unshare", "--mount", *(["--map-root-user"] if os.geteuid() else []), "sh", "-c", mounted, str(run)]
    trial = [*alone, sys.executable, "-c", ""]
    if not shutil.which("unshare") or subprocess.run(trial, check=False, capture_output=True).returncode:
        pytest.skip("this system lets nobody here make a folder read-only")
    before = content(run)
    command = [*alone, sys.executable, "-c", textwrap.dedent(script), f"--run_dir={run}"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300, cwd=ROOT)
    said = done.stderr.splitlines()
    assert done.returncode == 1 and content(run) == before
    assert len(said) == 2 and said[0].startswith("work: done before, skipped")
    assert said[1].startswith(f"error: {run}/.work.lock: Read-only file system (--run_dir={run}); choose a place")
