"""Folders of an overlay's lower layer, which cannot be renamed, killed at each step."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from rembrandt_featgen.core import folder_renaming

FILES = {"a": "1", "b/c": "2", "b/d/e": "3"}


@pytest.fixture
def lower(tmp_path, monkeypatch):
    """A folder that is there, and cannot be renamed."""
    folder = tmp_path / "unet.part"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "link").symlink_to("a")
    of_the_image, rename = folder.stat().st_ino, Path.rename

    def renamed(path, target):
        if path.stat().st_ino == of_the_image:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(path), None, str(target))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", renamed)
    return folder


def is_whole(folder):
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    assert {name: path.read_text() for name, path in found.items()} == {**FILES, "link": "1"}
    assert found["link"].is_symlink()
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_it_is_renamed(lower):
    folder_renaming.rename(lower, lower.with_name("unet"))
    is_whole(lower.with_name("unet"))


class Killed(BaseException):
    pass


@pytest.mark.parametrize("call", ["copytree", "unlink", "rmdir", "rename"])
@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_a_kill_loses_nothing(call, at, lower, monkeypatch):
    """Instead of the copy's end, and of each deletion and renaming; a few are made fewer times than that."""
    count, owner = [0], {"copytree": shutil, "rename": Path}.get(call, os)
    real = getattr(owner, call)

    def killed(*args, **kwargs):
        count[0] += 1
        if count[0] == at:
            if call == "copytree":  # it has made a part
                Path(args[1]).mkdir()
                (Path(args[1]) / "a").write_text("half")
            raise Killed
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(owner, call, killed)
        try:
            folder_renaming.rename(lower, lower.with_name("unet"))
        except Killed:
            count.append(at)
    fewer = {"copytree": 3, "rmdir": 3}.get(call, 4)
    assert (len(count) == 2) == (at <= fewer)
    if len(count) == 2:
        folder_renaming.end_copies(lower)
        folder_renaming.rename(lower, lower.with_name("unet"))
    is_whole(lower.with_name("unet"))


def test_other_errors_are_raised(tmp_path):
    with pytest.raises(FileNotFoundError):
        folder_renaming.rename(tmp_path / "a", tmp_path / "b")
