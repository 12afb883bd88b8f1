"""tools/check_calls.py: every rule with a file that breaks it."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parent.parent / "tools" / "check_calls.py"

spec = importlib.util.spec_from_file_location("check_calls", TOOL)
check_calls = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check_calls)

ELSEWHERE = """
def area(a, b, c, d, e=0): ...

class Box:
    def fill(self, a, b, c, d): ...
"""
HEAD = (
    "from rembrandt_featgen import elsewhere\nfrom rembrandt_featgen.elsewhere import Box, area\nimport numpy as np\n"
)
LITERAL = "a literal is spliced; write its elements"
SEVERAL = "several sequences are spliced into one call; name what they are"
FOUR = "4 arguments by position; name those after the third, or before"


@pytest.fixture
def house(tmp_path):
    """Writes two files, the second with `text`, and gives its faults."""

    def build(text):
        (tmp_path / "elsewhere.py").write_text(ELSEWHERE)
        (tmp_path / "here.py").write_text(HEAD + text)
        return [fault.removeprefix(f"{tmp_path / 'here.py'}:") for fault in check_calls.faults([tmp_path])]

    return build


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("print(*(1, 2))", [LITERAL]),
        ("x = [*(1, 2), 3]", [LITERAL]),
        ("x = (0, *[1, 2])", [LITERAL]),
        ("x = {*{1, 2}, 3}", [LITERAL]),
        ("print(*(1, 2), *(3, 4))", [LITERAL, SEVERAL]),
        ("a, b = [1], [2]\nprint(*a, *b)", [SEVERAL]),
        ("area(1, 2, 3, 4)", [FOUR]),
        ("elsewhere.area(1, 2, 3, 4)", [FOUR]),
        ("def near(a, b, c, d): ...\nnear(1, 2, 3, 4)", [FOUR]),
        ("class Bag(Box):\n    def more(self):\n        self.fill(1, 2, 3, 4)", [FOUR]),
    ],
)
def test_each_fault_is_one_line(house, text, expected):
    lines = house(text)
    assert [line.partition(": ")[2] for line in lines] == expected
    number = len((HEAD + text).splitlines())
    assert all(line.startswith(f"{number}: ") for line in lines)


@pytest.mark.parametrize(
    "text",
    [
        "pair = (1, 2)\nprint(*pair)",
        "a, b = [1], [2]\nx = [*a, *b]",
        "area(1, 2, 3, d=4)",
        "area(a=1, b=2, c=3, d=4)",
        "np.clip(1, 2, 3, 4)",  # another's function
        "print(1, 2, 3, 4)",
        "def many(*numbers): ...\nmany(1, 2, 3, 4)",
        "def inner(area):\n    return [area.shape(1, 2, 3, 4)]",
    ],
)
def test_what_reads_well_is_free(house, text):
    assert house(text) == []


def test_exit_status_and_one_line_a_fault(tmp_path):
    path = tmp_path / "one.py"
    path.write_text("x = 1\nprint(*(1, 2))\n")
    done = subprocess.run([sys.executable, TOOL, path], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, f"{path}:2: {LITERAL}\n")
    path.write_text("print(1, 2)\n")
    done = subprocess.run([sys.executable, TOOL, path], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.startswith("calls: ")


def test_package_and_tools_have_no_faults():
    done = subprocess.run([sys.executable, TOOL], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
