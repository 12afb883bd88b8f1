"""tools/check_newer.py, but for the environment that it makes, by interpreters that say what real ones did."""

import json

import pytest

from tools import check_newer


def fake(folder, *answers):
    """A Python that prints one answer to an import of all modules, and another to pytest."""
    (folder / "bin").mkdir(parents=True)
    path = folder / "bin" / "python"
    imported, tested = (answer.replace("'", "") for answer in answers)
    path.write_text(f"#!/bin/sh\ncase \"$*\" in *pytest*) printf '{tested}';; *) printf '{imported}';; esac\n")
    path.chmod(0o755)
    return path


FINE = json.dumps({"modules": 3, "failed": {}})
BAD = json.dumps({"modules": 3, "failed": {"a": "ImportError: no x", "b": "ImportError: no x", "c": "KeyError: 1"}})


@pytest.mark.parametrize(
    ("answers", "status", "lines"),
    [
        ((FINE, "5 passed in 1s\\n"), 0, ["Keras 3: 0 of 3 modules do not import", "  tests: 5 passed in 1s"]),
        ((BAD, "5 passed in 1s\\n"), 1, ["Keras 3: 3 of 3 modules do not import", "  2 x ImportError: no x"]),
        (
            (FINE, "E   AttributeError: gone\\n/x/y.py:3: AttributeError: gone\\n2 failed, 1 passed in 1s\\n"),
            1,
            ["  tests: 2 failed, 1 passed in 1s", "  tests: 2 x AttributeError: gone"],
        ),
        (("Segmentation fault\\n", "1 passed\\n"), 1, ["  1 x Segmentation fault"]),
    ],
)
def test_what_breaks_is_said_and_ends_with_a_status(tmp_path, capsys, answers, status, lines):
    fake(tmp_path / "newer", *answers)
    assert check_newer.main([f"--folder={tmp_path / 'newer'}", "--keep"]) == status
    said = capsys.readouterr().out.splitlines()
    assert all(line in said for line in lines), said
    assert [line for line in said if line.startswith("tf-keras")]
