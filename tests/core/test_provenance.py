import subprocess

import imblearn
import numcodecs
import pytest

import rembrandt_featgen
from rembrandt_featgen.core import provenance


def test_versions_name_this_package_and_what_figures_depend_on():
    found = provenance.versions()
    assert found["rembrandt_featgen"] == rembrandt_featgen.__version__
    assert found["imbalanced-learn"] == imblearn.__version__
    assert found["numcodecs"] == numcodecs.__version__
    assert all(found.values())


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A git repository of one commit that holds the package, for all that `provenance` knows."""
    (tmp_path / "package").mkdir()
    init = tmp_path / "package" / "__init__.py"
    init.write_text("")
    for command in (["init", "-q"], ["add", "."], ["-c", "user.name=n", "-c", "user.email=e", "commit", "-qm", "m"]):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True)
    monkeypatch.setattr(rembrandt_featgen, "__file__", str(init))
    provenance.commit.cache_clear()
    yield init
    provenance.commit.cache_clear()


def test_commit_is_that_of_the_checkout_and_says_when_files_differ(checkout):
    root = checkout.parent.parent
    head = subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
    assert provenance.commit() == head
    checkout.write_text("changed")
    provenance.commit.cache_clear()
    assert provenance.commit() == f"{head}-dirty"


def test_code_is_that_of_the_modules_when_it_is_first_asked_for(checkout):
    digests = []
    for text in ("", "changed", ""):
        checkout.write_text(text)
        provenance.code.cache_clear()
        digests.append(provenance.code())
    (checkout.parent / "notes.txt").write_text("no module")
    (checkout.parent / "room").mkdir()
    (checkout.parent / "room" / "new.py").write_text("")
    assert provenance.code() == digests[2] == digests[0] != digests[1]
    provenance.code.cache_clear()
    assert provenance.code() not in digests
    provenance.code.cache_clear()


def test_no_commit_outside_a_checkout(tmp_path, monkeypatch):
    monkeypatch.setattr(rembrandt_featgen, "__file__", str(tmp_path / "package" / "__init__.py"))
    provenance.commit.cache_clear()
    assert provenance.commit() is None
    provenance.commit.cache_clear()


def test_records_of_version_0_1_are_known_by_their_versions():
    assert provenance.is_of_before({"versions": {"numpy": "1"}})
    assert not provenance.is_of_before({"versions": provenance.versions()})
    assert not provenance.is_of_before({})
