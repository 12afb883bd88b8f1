"""What tests of estimates begin with."""

import tempfile

import pytest


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Where temporary folders are made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    return tmp_path / "tmp"


@pytest.fixture
def lines(capsys):
    """Reads the lines that were printed."""
    return lambda: capsys.readouterr().out.strip().splitlines()
