import pytest

from rembrandt_featgen.core import folders


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
