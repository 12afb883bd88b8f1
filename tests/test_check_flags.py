import ast
import importlib.util
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

TOOL = Path(__file__).parent.parent / "tools" / "check_flags.py"
HEAD = """
import dataclasses
from rembrandt_featgen.core import cli, rundir

@dataclasses.dataclass(frozen=True)
class Config:
    run_dir: str = cli.flag("", "Folder.")
    seed: int = cli.flag(0, "Seed.")
    width: int = cli.flag(4, "Width.")
"""
RUN_DIR, SEED, WIDTH = 7, 8, 9  # lines of the fields


@pytest.fixture(scope="module")
def check_flags():
    spec = importlib.util.spec_from_file_location("check_flags", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def stage(root, body, name="stage.py", head=HEAD):
    """Writes a stage of `root` whose Config has run_dir, seed and width."""
    path = root / "stages" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(head + textwrap.dedent(body))
    return path


READ = {
    "attributes": """
        def run(config: Config):
            print(config.run_dir, f"{config.seed}", [config.width for _ in range(3)])
        """,
    "open_stage reads run_dir": """
        def run(config: Config):
            with rundir.open_stage(config, "x", {}):
                print(config.seed, config.width)
        """,
    "parameter of another name": """
        def run(settings: Config):
            print(settings.run_dir, settings.seed, settings.width)
        """,
    "another name": """
        def run(config: Config):
            c = config
            d = c
            print(c.run_dir, d.seed, config.width)
        """,
    "handed on": """
        def run(config: Config):
            print(config.run_dir)
            _first(1, config)

        def _first(number, given):
            _second(settings=given)
            print(given.seed)

        def _second(*, settings):
            print(settings.width)
        """,
    "inside a closure": """
        def run(config: Config):
            def inner():
                return config.width
            print(config.run_dir, lambda: config.seed, inner())
        """,
}


@pytest.mark.parametrize("case", READ)
def test_every_way_of_reading_is_seen(check_flags, tmp_path, case):
    stage(tmp_path, READ[case])
    assert list(check_flags.faults(tmp_path)) == []


UNREAD = {
    "nothing": ("def run(config: Config): pass", {"run_dir": RUN_DIR, "seed": SEED, "width": WIDTH}),
    "open_stage reads run_dir alone": (
        """
        def run(config: Config):
            with rundir.open_stage(config, "x", {}): pass
        """,
        {"seed": SEED, "width": WIDTH},
    ),
    "another's width": (
        """
        def run(config: Config):
            print(config.run_dir, config.seed, image.width, config.image.width, record["config"])
        """,
        {"width": WIDTH},
    ),
    "names, strings and keywords": (
        """
        def run(config: Config):
            width = 3
            print(config.run_dir, config.seed, width, "config.width", dict(width=1))
        """,
        {"width": WIDTH},
    ),
    "a config that is none": (
        """
        def run(config: Config):
            print(config.run_dir, config.seed)
            _other(1, 2)

        def _other(config, width):
            print(config.width)
        """,
        {"width": WIDTH},
    ),
    "handed to what does not read it": (
        """
        def run(config: Config):
            _other(config)
            elsewhere.use(config)

        def _other(config):
            print(config.run_dir, config.seed)
        """,
        {"width": WIDTH},
    ),
}


@pytest.mark.parametrize("case", UNREAD)
def test_flag_that_does_nothing_is_named_with_its_line(check_flags, tmp_path, case):
    body, unread = UNREAD[case]
    path = stage(tmp_path, body)
    assert list(check_flags.faults(tmp_path)) == [
        f"{path}:{line}: --{name} does nothing: read it as config.{name}, or delete the flag"
        for name, line in unread.items()
    ]


def test_reading_in_another_module_does_not_count(check_flags, tmp_path):
    stage(tmp_path, "def run(config: Config): print(config.run_dir, config.seed)", "one.py")
    stage(tmp_path, READ["attributes"], "two.py")
    (fault,) = check_flags.faults(tmp_path)
    assert "one.py:9: --width does nothing" in fault


def test_config_of_other_stages_is_exempt(check_flags, tmp_path):
    body = 'Config = dataclasses.make_dataclass("Config", [("width", int)])\ndef run(config): pass\n'
    stage(tmp_path, body, "pipeline.py", head="import dataclasses\n")
    assert list(check_flags.faults(tmp_path)) == []


def test_exit_status_and_one_line_a_fault(tmp_path):
    path = stage(tmp_path, UNREAD["another's width"][0])
    done = subprocess.run([sys.executable, TOOL, tmp_path], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == f"{path}:9: --width does nothing: read it as config.width, or delete the flag\n"
    stage(tmp_path, READ["attributes"])
    done = subprocess.run([sys.executable, TOOL, tmp_path], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "flags: every flag is read by its stage\n")


def test_every_flag_of_the_package_is_read():
    done = subprocess.run([sys.executable, TOOL], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "flags: every flag is read by its stage\n")


def test_a_flag_that_no_longer_is_read_in_the_package_is_found(check_flags, tmp_path):
    """The check bites on the real stages: without its one reading, each field but run_dir is a fault."""
    source = (TOOL.parent.parent / "rembrandt_featgen" / "stages" / "extract_features.py").read_text()
    names = [name for name in check_flags.fields(ast.parse(source)) if re.search(rf"config\.{name}\b", source)]
    names.remove("run_dir")
    assert {"tap", "crop_folds"} <= set(names)
    stage(tmp_path, "", "extract_features.py", head=source)
    before = set(check_flags.faults(tmp_path))  # what other modules read, which are not there
    for name in names:
        stage(tmp_path, "", "extract_features.py", head=re.sub(rf"config\.{name}\b", "None", source))
        (fault,) = set(check_flags.faults(tmp_path)) - before
        assert f"--{name} does nothing" in fault


@pytest.mark.parametrize("module", ["shared_flags", "slice_flags"])
def test_what_shared_flags_read_counts_where_they_are_called(check_flags, tmp_path, module):
    stage(tmp_path, "def find(config): return config.seed + config.width\n", f"{module}.py", head="")
    stage(tmp_path, f"def run(config: Config): print(config.run_dir, {module}.find(config))", "one.py")
    stage(tmp_path, "def run(config: Config): print(config.run_dir, config.seed, other.find(config))", "two.py")
    (fault,) = check_flags.faults(tmp_path)
    assert "two.py:9: --width does nothing" in fault
