"""That what tools/setup_venv installs is what is pinned, with hashes, and what setup.py asks for."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PINS = sorted((ROOT / "tools" / "requirements").glob("python3.*.txt"))


def normal(name):
    return re.sub("[-_.]+", "-", name).lower()


def pins(path):
    found = re.findall(r"(?m)^([A-Za-z0-9._-]+)==([^\s\\;]+)", path.read_text())
    assert len({normal(name) for name, _ in found}) == len(found)
    return {normal(name): version for name, version in found}


@pytest.mark.parametrize("path", PINS, ids=lambda path: path.stem)
def test_every_pin_is_locked_with_hashes_and_nothing_else_is(path):
    lock = path.with_suffix(".lock")
    assert pins(lock) == pins(path), "run tools/lock_pins"
    entries = re.split(r"(?m)^(?=[A-Za-z0-9])", lock.read_text().split("\n", 1)[1])
    for entry in filter(None, entries):
        assert re.fullmatch(r"[^\s=]+==\S+( \\\n    --hash=sha256:[0-9a-f]{64})+\n", entry), entry[:80]


def test_what_setup_asks_for_is_pinned():
    asked = re.findall(r'"([A-Za-z0-9-]+)[=<>]', (ROOT / "setup.py").read_text())
    assert "tensorflow" in asked and "numpy" in asked
    for path in PINS:
        assert {normal(name) for name in asked} <= set(pins(path)), path.name


def test_what_bundles_for_gpu_machines_leave_out_is_imported_where_it_is_needed():
    """Of ../shared/tools/gpu_bundle: not by a module as a whole, so that the benchmark and pytest -m gpu do without."""
    left_out, found = {"skimage", "cv2", "cryptography"}, []
    for path in [*(ROOT / "rembrandt_featgen").rglob("*.py"), *(ROOT / "tools" / "benchmarks").glob("*.py")]:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [name.name for name in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [(path.name, name) for name in names if name.partition(".")[0] in left_out]
    assert found == []
