"""README.md and the guides that it leads to: what they name is there, and no more than a reader reads to the end."""

import re
from pathlib import Path

import pytest

from rembrandt_featgen.core import registry

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
ROOMS = sorted(path.name for path in (ROOT / "rembrandt_featgen").iterdir() if (path / "__init__.py").exists())
GUIDES = ["README.md", "flags/README.md", "tools/README.md"]
GUIDES += [f"rembrandt_featgen/{room}/README.md" for room in ROOMS]
# Rooms whose examples need no run of the program, and no more than a second or two.
EXAMPLES = ["features", "generation", "classification", "evaluation"]


def rows(text, head):
    """Cells of the table whose first line is `head`, without backticks."""
    lines = text[text.index(head) :].splitlines()[2:]
    table = lines[: next((number for number, line in enumerate(lines) if not line.startswith("|")), len(lines))]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in table]


def test_a_reader_reads_it_to_the_end():
    assert len(README.splitlines()) <= 150


def test_table_of_stages_is_the_registrys():
    assert rows(README, "| stage | folder | ") == [
        [stage.name, stage.folder, stage.title] for stage in registry.STAGES.values()
    ]


def test_every_guide_is_in_the_table_of_guides():
    table = README[README.index("## Guides") : README.index("## Glossary")]
    assert set(re.findall(r"\]\((.+?)\)", table)) == {*GUIDES[1:], "CHANGELOG.md"}


@pytest.mark.parametrize("guide", GUIDES)
def test_links_lead_somewhere(guide):
    folder = (ROOT / guide).parent
    links = re.findall(r"\]\(([^)#]+)", (ROOT / guide).read_text())
    assert [link for link in links if not link.startswith("http") and not (folder / link).exists()] == []


def is_there(path):
    """Whether it is a file or a folder, or "module.name" of something in a file "module.py"."""
    return path.exists() or path.with_suffix(".py").exists()


@pytest.mark.parametrize("guide", GUIDES)
def test_paths_in_backticks_and_commands_are_there(guide):
    """Paths of this repository: below tools/, flags/, tests/ or rembrandt_featgen/, from the root or from the guide."""
    text = (ROOT / guide).read_text()
    paths = re.findall(r"(?<![\w/.])((?:tools|flags|tests|rembrandt_featgen)/[\w./-]*\w)(?![\w<*{]|\.\.\.)", text)
    assert [path for path in paths if not any(is_there(home / path) for home in (ROOT, (ROOT / guide).parent))] == []
    for name in re.findall(r"rembrandt_featgen\.stages\.(\w+)", text):
        assert (ROOT / "rembrandt_featgen" / "stages" / f"{name}.py").exists(), name


@pytest.mark.parametrize("room", ROOMS)
def test_a_rooms_page_names_every_file_of_the_room(room):
    folder = ROOT / "rembrandt_featgen" / room
    text = (folder / "README.md").read_text()
    if room == "stages":  # those of the registry are in README.md's table
        text += README
    files = [path.stem for path in folder.glob("*.py") if path.name != "__init__.py"]
    assert [name for name in sorted(files) if not re.search(rf"\b{name}\b", text)] == []


@pytest.mark.parametrize("room", EXAMPLES)
def test_examples_print_what_their_comments_say(room, capsys):
    text = (ROOT / "rembrandt_featgen" / room / "README.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, f"{room}/README.md", "exec"), {})
        assert capsys.readouterr().out.splitlines() == re.findall(r"^print\(.*\)  # (.*)$", block, re.MULTILINE)


def test_flagfiles_are_those_of_the_table():
    table = rows((ROOT / "flags" / "README.md").read_text(), "| flagfile | ")
    assert sorted(row[0] for row in table) == sorted(path.name for path in (ROOT / "flags").glob("*.flags"))
    assert all(len(row) == 5 and all(row) for row in table)


def test_benchmarks_are_those_of_the_table():
    table = rows((ROOT / "tools" / "README.md").read_text(), "| subject | ")
    subjects = re.search(r"SUBJECTS = \(([^)]+)\)", (ROOT / "tools" / "benchmark.py").read_text()).group(1)
    assert [row[0] for row in table] == re.findall(r'"(\w+)"', subjects)
