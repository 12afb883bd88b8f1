import os
import tempfile

import pytest

from rembrandt_featgen.core import json_files, paths
from rembrandt_featgen.core.errors import InputError


@pytest.mark.parametrize("name", ["a.json", "b" * 190 + ".json", "c" * 250 + ".json", "ü" * 125 + ".json"])
def test_what_is_written_beside_a_file_has_a_name_that_fits(name, tmp_path):
    path = tmp_path / name
    beside = paths.temporary_beside(path)
    assert beside == paths.temporary_beside(path)
    assert beside.parent == tmp_path
    assert beside.name.startswith(".")
    assert len(os.fsencode(beside.name)) <= 255
    json_files.write_json(path, {"a": 1})
    assert [one.name for one in tmp_path.iterdir()] == [name]
    assert json_files.read_json(path) == {"a": 1}


def test_long_names_have_files_of_their_own(tmp_path):
    one, other = (tmp_path / ("d" * 250 + end) for end in ("1", "2"))
    assert paths.temporary_beside(one) != paths.temporary_beside(other)


def test_remove_folder(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "link").symlink_to("a")
    paths.remove_folder(tmp_path / "link")
    assert [one.name for one in tmp_path.iterdir()] == ["a"]
    paths.remove_folder(tmp_path / "a")
    paths.remove_folder(tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_literal_is_the_folder_or_a_link_to_it(tmp_path, monkeypatch):
    assert paths.literal(tmp_path / "run x ü ~ 'q'") == tmp_path / "run x ü ~ 'q'"
    wild = tmp_path / "run [x]"
    wild.mkdir()
    link = paths.literal(wild)
    assert link.resolve() == wild.resolve()
    assert not paths.WILD & set(str(link))
    monkeypatch.chdir(tmp_path)
    assert paths.literal(wild.relative_to(tmp_path)) == link


def test_no_place_for_a_link_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"run \*: TensorFlow cannot read .*No such file or directory.*rename"):
        paths.literal(tmp_path / "run *")
