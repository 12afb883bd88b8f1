import contextlib
import dataclasses
import errno
import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from absl import flags
from hypothesis import given, settings
from hypothesis import strategies as st

from rembrandt_featgen import stages
from rembrandt_featgen.core import cli, common_flags, registry
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.stages import extract_features, generate_synthetic, pipeline, predict

ROOT = Path(__file__).parents[2]


@dataclasses.dataclass(frozen=True)
class Config:
    folder: str = cli.flag("here", "Where it goes.", path=True)
    count: int = cli.flag(3, "How many.", minimum=1, maximum=9, source="paper 3.1")
    rate: float = cli.flag(0.5, "How fast.", minimum=0.0, maximum=1.0)
    free: float = cli.flag(1.0, "Any number.")
    augment: bool = cli.flag(True, "Whether to.")
    kind: str = cli.flag("he", "Which.", choices=("he", "she"))
    names: tuple[str, ...] = cli.flag(("flair",), "Which ones.")


@dataclasses.dataclass(frozen=True)
class Needy:
    image: tuple[str, ...] = cli.flag((), "What to read.", required=True)
    mask: str = cli.flag("", "What to write.", required=True)


def flagfile(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    return path


def elsewhere():
    return {"other", "unused"}


@pytest.mark.parametrize(
    ("argument", "field", "wanted"),
    [
        ("--folder=a=b, c", "folder", "a=b, c"),
        ("--folder=", "folder", ""),
        ("-folder=x", "folder", "x"),
        ("--count=9", "count", 9),
        ("--count=1", "count", 1),
        ("--rate=0", "rate", 0.0),
        ("--rate=1e-3", "rate", 1e-3),
        ("--free=-2", "free", -2.0),
        ("--augment=false", "augment", False),
        ("--noaugment", "augment", False),
        ("--augment", "augment", True),
        ("--kind=she", "kind", "she"),
        ("--names=", "names", ()),
        ("--names=t1", "names", ("t1",)),
        ("--names=t1, t2,t1ce", "names", ("t1", "t2", "t1ce")),
        ('--names="a,b",c', "names", ("a,b", "c")),
    ],
)
def test_one_flag_changes_one_field(argument, field, wanted):
    config = cli.parse(Config, [argument])
    assert config == dataclasses.replace(Config(), **{field: wanted})
    assert type(getattr(config, field)) is type(wanted)


def test_no_flags_give_the_defaults():
    assert cli.parse(Config, []) == Config("here", 3, 0.5, 1.0, True, "he", ("flair",))


def test_a_value_may_be_the_next_argument():
    assert cli.parse(Config, ["--count", "4", "--folder", "x"]) == Config("x", 4)


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("--count=0", ["count", "0", "[1, 9]"]),
        ("--count=10", ["count", "10", "[1, 9]"]),
        ("--count=2.5", ["count", "2.5"]),
        ("--count=many", ["count", "many"]),
        ("--count", ["count"]),
        ("--rate=-0.1", ["rate", "-0.1"]),
        ("--rate=1.1", ["rate", "1.1"]),
        ("--rate=nan", ["--rate=nan", "finite"]),
        ("--free=inf", ["--free=inf", "finite"]),
        ("--free=fast", ["free", "fast"]),
        ("--augment=maybe", ["augment", "maybe"]),
        ("--kind=it", ["kind", "it", "he|she"]),
        ("--kind=He", ["kind", "He"]),
        ("--nokind", ["kind"]),
        ('--names="a', ["names", '"a']),
        ("--unheard_of=1", ["unheard_of"]),
        ("stray", ["'stray'", "--name=value"]),
        ("--flagfile=/nowhere.flags", ["--flagfile=/nowhere.flags", "no such file"]),
        ("--flagfile=/", ["--flagfile=/", "no such file"]),
        ("--flagfile", ["--flagfile"]),
    ],
)
def test_bad_argument_is_quoted_in_one_line(argument, words):
    with pytest.raises(InputError) as caught:
        cli.parse(Config, [argument])
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("missing", ["image", "mask"])
def test_required_flag(missing):
    arguments = {"image": "--image=a.nii", "mask": "--mask=b.nii"}
    assert cli.parse(Needy, list(arguments.values())) == Needy(("a.nii",), "b.nii")
    arguments.pop(missing)
    with pytest.raises(InputError, match=f"--{missing} is required: What to"):
        cli.parse(Needy, list(arguments.values()))
    with pytest.raises(InputError, match=f"--{missing} is required"):
        cli.parse(Needy, [*arguments.values(), f"--{missing}="])


def test_flagfile_holds_flags_comments_and_blank_lines(tmp_path):
    path = flagfile(tmp_path, "a.flags", "# how many\n--count=5\n\n// which\n  --folder=my folder  \n--noaugment\n")
    assert cli.parse(Config, [f"--flagfile={path}"]) == Config("my folder", 5, augment=False)
    assert cli.parse(Config, ["--flagfile", str(path)]) == Config("my folder", 5, augment=False)


def test_later_flags_win(tmp_path):
    path = flagfile(tmp_path, "a.flags", "--count=5\n--count=6\n--names=t1\n")
    assert cli.parse(Config, ["--count=2", f"--flagfile={path}"]).count == 6
    assert cli.parse(Config, [f"--flagfile={path}", "--count=2", "--names=t2"]) == Config(count=2, names=("t2",))
    other = flagfile(tmp_path, "b.flags", "--count=7\n--augment=false\n")
    assert cli.parse(Config, [f"--flagfile={path}", f"--flagfile={other}", "--augment"]) == Config(
        count=7, names=("t1",)
    )


def test_flagfile_includes_another_where_it_names_it(tmp_path):
    inner = flagfile(tmp_path, "inner.flags", "--count=5\n--folder=inner\n--rate=0.25\n--other=1\n")
    outer = flagfile(tmp_path, "outer.flags", f"--count=2\n--flagfile={inner}\n--folder=outer\n")
    assert cli.parse(Config, [f"--flagfile={outer}"], elsewhere) == Config("outer", 5, 0.25)


def test_home_is_expanded_in_paths_and_nowhere_else(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    config = dataclasses.make_dataclass(
        "Config",
        [("image", tuple[str, ...], cli.flag((), "Files.", path=True)), ("title", str, cli.flag("", "Title."))],
    )
    path = flagfile(tmp_path, "home.flags", "--folder=~/run\n")
    assert cli.parse(Config, ["--flagfile=~/home.flags"]) == Config(f"{tmp_path}/run")
    assert cli.parse(Config, [f"--flagfile={path}", "--folder=~"]).folder == str(tmp_path)
    assert cli.parse(Config, ["--folder=~nobody.by.that.name/x"]).folder == "~nobody.by.that.name/x"
    read = cli.parse(config, ["--image=~/a.nii,b~.nii", "--title=~/a"])
    assert read == config((f"{tmp_path}/a.nii", "b~.nii"), "~/a")


def test_flagfiles_that_include_each_other_again_and_again_are_refused(tmp_path):
    names = [tmp_path / f"{number}.flags" for number in range(6)]
    for name, other in zip(names, names[1:]):
        name.write_text(f"--flagfile={other}\n" * 10)
    names[-1].write_text("")
    with pytest.raises(InputError, match="more than 1000 files that include each other; include each once"):
        cli.parse(Config, [f"--flagfile={names[0]}"])
    long = tmp_path / "long.flags"
    long.write_text("--,".replace(",", ",--" * 400) + "\n")
    with pytest.raises(InputError, match="is no flag; --help lists the flags"):
        cli.parse(Config, [f"--flagfile={long}"])
    long.write_text("--flagfile=~\0\n")
    with pytest.raises(InputError, match="there is no such file"):
        cli.parse(Config, [f"--flagfile={long}"])
    long.write_text(f"--flagfile={'x' * 5000}\n")
    with pytest.raises(InputError, match="there is no such file"):
        cli.parse(Config, [f"--flagfile={long}"])


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "with a byte order mark"])
def test_flagfile_is_utf8_whatever_the_locale_says(mark, tmp_path):
    path = tmp_path / "a.flags"
    path.write_bytes(mark + "--folder=Universität\n".encode())
    code = f"""
    import dataclasses
    from rembrandt_featgen.core import common_flags, cli
    Config = dataclasses.make_dataclass("Config", [("folder", str, cli.flag("", "Where."))])
    print(ascii(cli.parse(Config, ["--flagfile={path}"]).folder))
    """
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, cwd=ROOT)
    assert (done.stdout, done.stderr) == ("'Universit\\xe4t'\n", "")


def test_flagfiles_that_include_each_other_are_read_once(tmp_path):
    first = flagfile(tmp_path, "first.flags", f"--count=5\n--flagfile={tmp_path}/second.flags\n")
    flagfile(tmp_path, "second.flags", f"--folder=x\n--flagfile={first}\n")
    assert cli.parse(Config, [f"--flagfile={first}"]) == Config("x", 5)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"--flagfile=/nowhere/inner.flags\n", ["/nowhere/inner.flags"]),
        (b"--count=99\n", ["count", "99"]),
        (b"--cuont=2\n", ["cuont"]),
        (b"count=2\n", ["'count=2'"]),
        (b"--folder=\xff\xfe\n", ["flagfile", "UTF-8"]),
    ],
)
def test_bad_flagfile(content, words, tmp_path):
    path = tmp_path / "bad.flags"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        cli.parse(Config, [f"--flagfile={path}"], elsewhere)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("line", ["--other=1", "--other", "--noother"])
def test_flags_of_other_stages_may_stand_in_a_flagfile_only(line, tmp_path):
    path = flagfile(tmp_path, "all.flags", f"{line}\n--count=5\n")
    assert cli.parse(Config, [f"--flagfile={path}"], elsewhere) == Config(count=5)
    with pytest.raises(InputError, match="other"):
        cli.parse(Config, [f"--flagfile={path}"])  # known nowhere
    with pytest.raises(InputError, match="other"):
        cli.parse(Config, [line], elsewhere)


def test_all_flags_of_other_stages_are_told_at_once():
    with pytest.raises(
        InputError, match="^--unused, --other are flags of another .* put them into a --flagfile, which"
    ):
        cli.parse(Config, ["--unused=1", "--count=5", "--other=2"], elsewhere)
    with pytest.raises(InputError, match="^--other is a flag of another .* put it into a --flagfile"):
        cli.parse(Config, ["--other=2"], elsewhere)
    with pytest.raises(InputError, match="'typo'"):
        cli.parse(Config, ["--typo=1", "--other=2"], elsewhere)


def test_a_flag_with_the_same_end_is_suggested():
    few = dataclasses.make_dataclass(
        "Few", [("few_shot_arms", str, cli.flag("", "Arms.")), ("n", int, cli.flag(1, "N."))]
    )

    def said(*argv, known=frozenset({"arms", "kinds", "sweep_n"})):
        with pytest.raises(InputError) as caught:
            cli.parse(few, argv, lambda: known)
        return str(caught.value)

    assert said("--kinds=a", "--arms=none").startswith(
        "--kinds, --arms are flags of another binary, and would do nothing here; take --few_shot_arms for --arms; or "
        "leave them out, or put them into a --flagfile, "
    )
    assert "; take --n for --sweep_n; or leave it out" in said("--sweep_n=2")
    assert "take" not in said("--kinds=a").partition("of which")[0]
    unknown = "Unknown command line flag 'arms'; perhaps --few_shot_arms; --help lists the flags"
    assert said("--arms=none", known=frozenset()) == unknown
    assert said("--rms=none", known=frozenset()) == "Unknown command line flag 'rms'; --help lists the flags"
    assert said("--few_shot_arm=x") == (
        "Unknown command line flag 'few_shot_arm'. Did you mean: few_shot_arms ?; --help lists the flags"
    )


TEXT = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs"))).map(str.strip)
ITEMS = TEXT.filter(bool)


@settings(deadline=None)
@given(
    st.builds(
        Config,
        folder=TEXT,
        count=st.integers(1, 9),
        rate=st.floats(0, 1),
        free=st.floats(allow_nan=False, allow_infinity=False),
        augment=st.booleans(),
        kind=st.sampled_from(["he", "she"]),
        names=st.lists(ITEMS, max_size=3).map(tuple),
    )
)
def test_flagfile_text_gives_the_config_back(tmp_path_factory, config):
    path = tmp_path_factory.getbasetemp() / "round_trip.flags"
    path.write_text(cli.flagfile_text(config), encoding="utf-8")
    assert cli.parse(Config, [f"--flagfile={path}"]) == config


def test_flagfile_text_by_hand():
    config = Config("", 3, 0.5, 1.0, False, "she", ())
    assert cli.flagfile_text(config) == (
        "--folder=\n--count=3\n--rate=0.5\n--free=1.0\n--augment=false\n--kind=she\n--names=\n"
    )
    assert cli.flagfile_text(Needy(("a,b.nii", "c.nii"), "m")) == '--image="a,b.nii",c.nii\n--mask=m\n'


def test_help_tells_type_default_and_source():
    text = cli.help_text(Config, "python -m thing", "Does things.\n")
    assert text.startswith("usage: python -m thing [--flagfile=FILE] [--flag=value ...]\n\nDoes things.\n")
    for lines in (
        "  --folder=TEXT\n      Where it goes. (default: here)",
        "  --count=INTEGER\n      How many. (default: 3; at least 1; at most 9; paper 3.1)",
        "  --rate=NUMBER\n      How fast. (default: 0.5; at least 0; at most 1)",
        "  --augment=true|false\n      Whether to. (default: True)",
        "  --kind=he|she\n      Which. (default: he)",
        "  --names=LIST\n      Which ones. (default: flair)",
        "  --flagfile=FILE\n",
    ):
        assert lines in text
    assert "  --image=LIST\n      What to read. (required)" in cli.help_text(Needy, "p", "")


@pytest.mark.parametrize("module", [*stages.modules().values(), pipeline, predict], ids=lambda module: module.__name__)
@pytest.mark.parametrize("asked", ["--help", "-h"])
def test_help_lists_every_flag(module, asked, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["binary", asked])
    with pytest.raises(SystemExit) as stop:
        module.main()
    assert stop.value.code == 0
    listed = re.findall(r"^  --(\w+)=", capsys.readouterr().out, re.MULTILINE)
    common = common_flags.names("estimate_only" in listed)
    assert listed == [*(field.name for field in dataclasses.fields(module.Config)), "flagfile", *common]


def test_two_binaries_in_one_process_do_not_clash(monkeypatch):
    """Both define --run_dir, --seed and more; each sees its own values."""
    seen = []
    for module, argument in (
        (extract_features, "--tap=conv1"),
        (generate_synthetic, "--generate_tries=7"),
        (extract_features, "--tap=conv2"),
    ):
        monkeypatch.setattr("sys.argv", ["binary", "--run_dir=x", argument])
        cli.main(module.Config, seen.append, about="")
    assert seen == [
        extract_features.Config("x", tap="conv1"),
        generate_synthetic.Config("x", generate_tries=7),
        extract_features.Config("x", tap="conv2"),
    ]


def test_importing_the_stages_defines_no_global_flag():
    fields = {field.name for module in (pipeline, predict) for field in dataclasses.fields(module.Config)}
    assert not fields & set(flags.FLAGS)


@pytest.mark.parametrize(
    ("error", "code", "wanted"),
    [
        (InputError("file.nii is\n  truncated"), 1, "error: file.nii is truncated\n"),
        (KeyboardInterrupt(), 130, "interrupted; run the same command again to resume\n"),
    ],
)
def test_main_ends_with_one_line_and_a_status(error, code, wanted, monkeypatch, capsys):
    def run(config):
        raise error

    monkeypatch.setattr("sys.argv", ["binary"])
    with pytest.raises(SystemExit) as stop:
        cli.main(Config, run, about="")
    assert stop.value.code == code
    assert capsys.readouterr().err == wanted


def test_what_comes_of_an_interrupt_is_one(monkeypatch, capsys):
    def run(config):
        try:
            raise KeyboardInterrupt
        finally:
            raise RuntimeError("Exiting device scope without proper scope nesting")

    monkeypatch.setattr("sys.argv", ["binary"])
    with pytest.raises(SystemExit) as stop:
        cli.main(Config, run, about="")
    assert stop.value.code == 130
    assert capsys.readouterr().err.startswith("interrupted; ")


def test_an_interrupt_that_something_else_hides_is_one(monkeypatch, capsys):
    def run(config):
        with contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        raise RuntimeError("UnknownError: in a call of Python") from None

    monkeypatch.setattr("sys.argv", ["binary"])
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # which processes in the background ignore
    try:
        with pytest.raises(SystemExit) as stop:
            cli.main(Config, run, about="")
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL  # a second one ends the process, however it hangs
    finally:
        signal.signal(signal.SIGINT, before)
    assert stop.value.code == 130
    assert capsys.readouterr().err == "interrupted; run the same command again to resume\n"


@pytest.mark.parametrize("where", ["import", "work"])
def test_a_real_interrupt_ends_with_one_line_and_no_traceback(where):
    script = """
    import dataclasses, os, signal, sys, time
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which processes in the background ignore
    sys.argv = ["-m"]
    import rembrandt_featgen
    from rembrandt_featgen.core import common_flags, cli
    def stop(config=None):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(10)
    if {where!r} == "import":
        stop()
    Config = dataclasses.make_dataclass("Config", [("width", int, cli.flag(1, "Width."))])
    cli.main(Config, stop, about="")
    """
    code = textwrap.dedent(script).format(where=where)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert (done.returncode, done.stderr) == (130, "interrupted; run the same command again to resume\n")


def test_nothing_is_said_after_the_line():
    """An archive on a disk that is full cannot be closed, and says so when it is thrown away."""
    script = """
    import dataclasses, errno, sys, zipfile
    from rembrandt_featgen.core import common_flags, cli
    def run(config):
        class Archive:
            def __del__(self):
                raise ValueError("seek of closed file")
        archive = Archive()
        raise OSError(errno.ENOSPC, "No space left on device", "a.npz")
    Config = dataclasses.make_dataclass("Config", [("width", int, cli.flag(1, "Width."))])
    cli.main(Config, run, about="")
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.returncode == 1
    assert re.fullmatch(r"error: a.npz: No space left on device \(.*\); .*\n", done.stderr)


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (OSError(errno.ENOENT, "x", "{run}/a.nii"), "{run}/a.nii: No such file or directory (--folder={run}); put it"),
        (PermissionError(errno.EACCES, "x", "/else/a.nii"), "/else/a.nii: Permission denied; choose a place"),
        (OSError(errno.EROFS, "x", "{run}"), "{run}: Read-only file system (--folder={run}); choose a place"),
        (OSError("4096 requested and 0 written"), "No space left on device; free some of the disk, or move"),
    ],
    ids=["gone", "not allowed", "read-only", "full"],
)
def test_what_the_system_refuses_is_one_line(error, wanted, tmp_path, monkeypatch, capsys):
    if error.filename:
        error.filename = error.filename.format(run=tmp_path)

    def run(config):
        raise error

    monkeypatch.setattr("sys.argv", ["binary", f"--folder={tmp_path}"])
    with pytest.raises(SystemExit) as stop:
        cli.main(Config, run, about="")
    assert stop.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: {wanted.format(run=tmp_path)}")
    assert "run the same command again, which keeps what is finished\n" in said


def test_a_full_disk_is_said_whatever_comes_of_it(monkeypatch, capsys):
    """An archive of numpy that cannot be closed hides it behind a ValueError."""

    def run(config):
        try:
            raise OSError(errno.ENOSPC, "x", "a.npz")
        finally:
            raise ValueError("Can't close the ZIP file while there is an open writing handle on it.")

    monkeypatch.setattr("sys.argv", ["binary"])
    with pytest.raises(SystemExit):
        cli.main(Config, run, about="")
    assert capsys.readouterr().err.startswith("error: a.npz: No space left on device (")


def test_main_does_not_hide_defects(monkeypatch):
    def run(config):
        try:
            raise ValueError("another")
        except ValueError:
            raise ZeroDivisionError("a bug")  # noqa: B904

    monkeypatch.setattr("sys.argv", ["binary"])
    with pytest.raises(ZeroDivisionError):
        cli.main(Config, run, about="")


def test_some_of():
    assert cli.some_of("arms", ("b", "a", "b"), ("a", "b", "c")) == ("b", "a")
    assert cli.some_of("arms", (), ("a",), at_least=0) == ()
    with pytest.raises(InputError, match="^--arms=a,x: 'x' is not known; take some of a, b$"):
        cli.some_of("arms", ("a", "x"), ("a", "b"))
    with pytest.raises(InputError, match="^--arms= names none; take some of a, b$"):
        cli.some_of("arms", (), ("a", "b"))


@pytest.mark.parametrize("argument", ["--gans=acgan", "--noacgan_balanced", "--flagfile"])
def test_flags_of_version_0_1_are_refused_with_their_new_names(argument, tmp_path):
    if argument == "--flagfile":
        (tmp_path / "old.flags").write_text("--acgan_epochs=3\n")
        argument = f"--flagfile={tmp_path / 'old.flags'}"
    old = "gans" if "gans" in argument else "acgan_balanced" if "balanced" in argument else "acgan_epochs"
    with pytest.raises(InputError) as caught:
        cli.parse(Config, [argument])
    now = registry.RENAMED_FLAGS[old]
    assert str(caught.value) == f"--{old} was a flag of version 0.1; it is now --{now}, see --help"
