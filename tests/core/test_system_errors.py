"""What a full disk is said by: names that its user knows, and what is free."""

import errno
import os
import re
import shutil
import tempfile
from pathlib import Path

import pytest

from rembrandt_featgen.core import paths, system_errors

FREE = r"[\d.]+ [KMG]iB of [\d.]+ [KMG]iB free"


def said(path, number=errno.ENOSPC, **flags):
    return str(system_errors.readable(OSError(number, "x", str(path)), flags))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("unet.part/checkpoints/epoch_temp/part-00000.tempstate123", "unet"),
        ("final_run/generators/acgan.part/x.part", "final_run/generators/acgan"),
        ("unet/export", "unet/export"),
        ("split.json.part", "split.json"),
    ],
)
def test_a_stage_is_named_by_the_folder_that_it_will_have(tmp_path, path, name):
    run = tmp_path / "mine.part"  # a name of the user's is no name of a stage
    line = said(run / path, run_dir=str(run))
    wanted = rf"{run}/{name}: No space left on device \(--run_dir={run}, {FREE}\); free some of the disk, or move .*"
    assert re.fullmatch(wanted, line), line


def test_where_no_file_is_known_the_runs_folder_is_asked(tmp_path):
    error = OSError("4096 requested and 0 written")
    line = str(system_errors.readable(error, {"run_dir": str(tmp_path)}))
    assert re.match(rf"No space left on device \(--run_dir={tmp_path}, {FREE}\); free", line), line
    assert str(system_errors.readable(error, {})).startswith("No space left on device; free")


def test_temporary_files_are_where_tmpdir_says(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    line = said(tmp_path / "tmpabc" / "x", run_dir="elsewhere")
    assert re.fullmatch(rf"{tmp_path}: No space left on device \({FREE}\); free .* by TMPDIR in the env.*", line), line
    assert "TMPDIR" not in said("/else/x", run_dir="elsewhere")


def test_what_is_free_is_what_the_system_says(tmp_path, monkeypatch):
    answer = os.statvfs_result((4096, 4096, 5 * 2**18, 2**10, 2**9, 100, 7, 7, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda path: answer)
    assert "2.0 MiB of 5.0 GiB free" in said(tmp_path / "a" / "b", run_dir=str(tmp_path))
    answer = os.statvfs_result((4096, 4096, 5 * 2**18, 2**10, 2**9, 100, 0, 0, 0, 255))
    assert f"(--run_dir={tmp_path}, it takes no more files)" in said(tmp_path / "a", run_dir=str(tmp_path))
    assert f"(--run_dir={tmp_path}); free" in said(tmp_path / "a", errno.EDQUOT, run_dir=str(tmp_path))  # of a share


def test_a_link_that_stands_for_a_folder_is_said_as_the_folder(tmp_path):
    folder = tmp_path / "run [1]"
    folder.mkdir()
    link = paths.literal(folder)
    assert link != folder and paths.meant(f"{link}/unet.part/a") == f"{folder}/unet.part/a"
    assert paths.meant(str(link)) == str(folder) and paths.meant(f"{link}s") == f"{link}s"
    error = type("UnknownError", (Exception,), {"__module__": "tensorflow.errors"})(
        f"{link}/a; No space left on device"
    )
    line = str(system_errors.readable(error, {"run_dir": str(folder)}))
    assert line.startswith(f"{Path(folder)}/a: No space left on device (--run_dir={folder}")


@pytest.mark.parametrize(
    ("number", "fix"),
    [(errno.EINVAL, "takes no such name"), (errno.ENOTSUP, "cannot do that; choose a folder on another")],
)
def test_what_a_foreign_file_system_does_not_take(number, fix, tmp_path):
    """As exFAT and NTFS for `a:b`; by arrow, which has the name in its message alone."""
    path = tmp_path / "a:b.parquet"
    assert said(path, number, to=str(path)).startswith(f"{path}: {os.strerror(number)} (--to={path}); this file system")
    error = OSError(number, f"Failed to open local file '{path}'. Detail: [errno {number}] {os.strerror(number)}")
    line = str(system_errors.readable(error, {"to": str(path)}))
    assert line.startswith(f"{path}: {os.strerror(number)} (--to={path}); ") and fix in line
    assert system_errors.readable(OSError(errno.EINVAL, "x"), {"to": str(path)}) is None  # of no file: a defect


@pytest.mark.parametrize(("number", "at", "fix"), [(errno.ENOSPC, "b", "free some"), (errno.EIO, "a", "see whether")])
def test_a_folder_that_cannot_be_copied(number, at, fix, tmp_path):
    """As a point's of a sweep where there are no links, or one of a container's image."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").touch()

    def fails(source, copy):
        raise OSError(number, os.strerror(number), source, None, copy)

    with pytest.raises(shutil.Error) as caught:
        shutil.copytree(tmp_path / "a", tmp_path / "b", copy_function=fails)
    line = str(system_errors.readable(caught.value, {"run_dir": str(tmp_path)}))
    assert line.startswith(f"{tmp_path}/{at}/x: {os.strerror(number)} (--run_dir={tmp_path}") and fix in line
    for other in (shutil.Error("same file"), shutil.Error([("a", "b", "no number")])):
        assert system_errors.readable(other, {}) is None


def test_a_file_system_that_renames_to_no_name_that_is_taken(tmp_path):
    """As SFTP without OpenSSH's way to rename."""
    error = OSError(errno.EEXIST, "x", str(tmp_path / ".a.tmp"), None, str(tmp_path / "a"))
    line = str(system_errors.readable(error, {"run_dir": str(tmp_path)}))
    assert line.startswith(
        f"{tmp_path}/.a.tmp: File exists (--run_dir={tmp_path}); this file system puts no file in the"
    )
    assert system_errors.readable(FileExistsError(errno.EEXIST, "x", str(tmp_path)), {}) is None  # a defect
