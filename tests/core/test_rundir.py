import dataclasses
import json
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import rembrandt_featgen
from rembrandt_featgen.core import cli, json_files, made_by, provenance, registry, rundir
from rembrandt_featgen.core.errors import InputError, SettingsError


@dataclasses.dataclass(frozen=True)
class Config:
    run_dir: str = cli.flag("", "Folder.", required=True)
    width: int = cli.flag(4, "Width.")
    names: tuple[str, ...] = cli.flag(("a", "b"), "Names.")
    processes: int = cli.flag(1, "Processes at a time.", setting=False)


@pytest.fixture
def run(tmp_path):
    return tmp_path / "run"


@pytest.fixture(autouse=True)
def work(monkeypatch):
    """The stage "work", whose folder has that name."""
    monkeypatch.setitem(registry.STAGES, "work", registry.StageInfo("work", "work", "works"))


def do(run, inputs=None, body=lambda stage: None, replaced=False, **settings):
    """Opens the stage `work`; returns whether its body had to work, and the stage."""
    digests = inputs or {"before": "d1"}
    with rundir.open_stage(Config(str(run), **settings), "work", digests=digests, replaced=replaced) as stage:
        if stage.done:
            return False, stage
        body(stage)
        (stage.path / "result.txt").write_text("result")
        stage.complete(score=0.5, bad=np.float32("nan"), where=Path("a/b"), counts=np.arange(2))
    return True, stage


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the package handles it."""


def kill(stage):
    (stage.path / "half.txt").write_text("half")
    raise Killed


def test_the_device_is_that_of_this_process_unless_the_work_was_done_elsewhere(run, monkeypatch):
    monkeypatch.setattr(provenance, "_device", "runs on the CPU")
    assert do(run / "here")[1].record["device"] == "runs on the CPU"
    _, elsewhere = do(run / "there", body=lambda stage: stage.record.update(device="runs on a GPU"))
    assert json_files.read_json(elsewhere.path / "stage.json")["device"] == "runs on a GPU"


def test_complete_stage_is_one_folder_with_its_record(run):
    worked, stage = do(run)
    assert worked
    assert stage.path == run / "work"
    assert sorted(path.name for path in run.iterdir()) == [".work.lock", "work"]
    assert sorted(path.name for path in (run / "work").iterdir()) == ["flags.txt", "result.txt", "stage.json"]
    record = json.loads((run / "work" / "stage.json").read_text())
    assert record["stage"] == "work"
    assert record["config"] == {"width": 4, "names": ["a", "b"]}
    assert record["inputs"] == {"before": "d1"}
    assert record["figures"] == {"score": 0.5, "bad": None, "where": "a/b", "counts": [0, 1]}
    assert record["resumed"] is False
    assert record["seconds"] >= 0
    assert record["versions"]["numpy"] == np.__version__
    assert cli.parse(Config, [f"--flagfile={run / 'work' / 'flags.txt'}"]) == Config(str(run))


def test_a_stage_that_is_finished_is_told_with_what_it_was_at_work_with(run):
    told = []

    def finished(folder, record):
        told.append((folder, record["peak_memory"] > 0, (folder / "checkpoints" / "a").exists()))

    def body(stage):
        (stage.path / "checkpoints").mkdir()
        (stage.path / "checkpoints" / "a").touch()

    with rundir.when_finished(finished):
        do(run, body=body)
        do(run)  # skipped
    assert told == [(run / "work", True, True)] and not (run / "work" / "checkpoints").exists()
    do(run, inputs={"before": "d2"})
    assert len(told) == 1


def test_done_stage_is_skipped(run, caplog):
    do(run)
    before = (run / "work" / "stage.json").read_bytes()
    with caplog.at_level(logging.INFO, logger="absl"):
        worked, stage = do(run)
    assert not worked
    assert stage.path == run / "work"
    assert stage.record["figures"]["score"] == 0.5
    assert (run / "work" / "stage.json").read_bytes() == before
    assert f"work: done before, skipped (delete {run / 'work'} to redo it)" in caplog.text


def test_what_is_no_setting_may_change(run):
    _, stage = do(run)
    assert "processes" not in stage.record["config"]
    assert not do(run, processes=2)[0]


def test_run_dir_may_be_moved(run, tmp_path):
    do(run)
    run.rename(tmp_path / "moved")
    assert do(tmp_path / "moved")[0] is False


def test_changed_inputs_redo_the_stage(run):
    do(run, {"before": "d1"}, lambda stage: (stage.path / "stale.txt").write_text(""))
    worked, _ = do(run, {"before": "d2"})
    assert worked
    assert not (run / "work" / "stale.txt").exists()
    assert json_files.read_json(run / "work" / "stage.json")["inputs"] == {"before": "d2"}


@pytest.mark.parametrize("killed", [False, True])
def test_changed_settings_are_refused_with_the_flags_named(run, killed):
    if killed:
        with pytest.raises(Killed):
            do(run, body=kill)
    else:
        do(run)
    folder = run / ("work.part" if killed else "work")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(InputError) as caught:
        do(run, width=8, names=("a", "c"))
    assert str(caught.value) == (
        f"{folder} was made by other settings: --names=a,b (now a,c), --width=4 (now 8); give those again, "
        f"delete {folder} to redo it and what follows, or choose another --run_dir"
    )
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("killed", [False, True])
def test_changed_settings_of_a_stage_on_which_nothing_rests_redo_it(run, killed):
    if killed:
        with pytest.raises(Killed):
            do(run, body=kill)
    else:
        do(run)
    worked, stage = do(run, replaced=True, width=8)
    assert worked
    assert stage.record["config"]["width"] == 8
    assert not stage.record["resumed"]
    assert sorted(path.name for path in (run / "work").iterdir()) == ["flags.txt", "result.txt", "stage.json"]
    assert do(run, replaced=True, width=8)[0] is False


KEPT = made_by.Kept(("*.csv",), lambda flag, before, now: flag == "width" and now > before)


def test_what_serves_is_kept_until_the_stage_is_done_again(run):
    def made(width, killed=False):
        with rundir.open_stage(Config(str(run), width=width), "work", kept=KEPT) as stage:
            if stage.done:
                return None
            found = sorted(path.name for path in stage.path.glob("*.csv"))
            (stage.path / f"{width}.csv").write_text("")
            (stage.path / "page.html").write_text(str(width))
            if killed:
                raise KeyboardInterrupt
            stage.complete()
            return found

    assert made(2) == [] and made(2) is None
    with pytest.raises(KeyboardInterrupt):
        made(3, killed=True)
    assert (run / "work/page.html").read_text() == "2" and made(2) is None  # what is finished stays
    assert made(5) == ["2.csv", "3.csv"]  # resumed, though it was to be 3
    record = json_files.read_json(run / "work/stage.json")
    assert record["config"]["width"] == 5 and [one["config"] for one in record["extends"]] == [{"width": 2}]
    assert (run / "work/page.html").read_text() == "5" and not (run / ".work.old").exists()
    with pytest.raises(InputError, match="--width=5 .now 4."):
        made(4)
    assert made(6) == ["2.csv", "3.csv", "5.csv"]
    assert len(json_files.read_json(run / "work/stage.json")["extends"]) == 2


def test_a_kill_while_one_takes_the_place_of_another_loses_nothing(run, monkeypatch):
    with rundir.open_stage(Config(str(run), width=2), "work", kept=KEPT) as stage:
        (stage.path / "2.csv").write_text("")
        stage.complete()
    rename = Path.rename

    def killed(path, target):
        if path.name.endswith(".part"):
            raise KeyboardInterrupt
        return rename(path, target)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Path, "rename", killed)
        with rundir.open_stage(Config(str(run), width=3), "work", kept=KEPT) as stage:
            stage.complete()
    with rundir.open_stage(Config(str(run), width=3), "work", kept=KEPT) as stage:
        assert (stage.path / "2.csv").exists() and not stage.done
        stage.complete()
    assert (run / "work/2.csv").exists() and not (run / ".work.old").exists()


@pytest.mark.parametrize("how", ["extended", "done again"])
def test_a_kill_at_any_rename_or_deletion_leaves_nothing_half_deleted(run, monkeypatch, how):
    """Of a stage that takes the place of another, and of one whose input has changed since."""
    kept, settings = (KEPT, ({"width": 2}, {"width": 3})) if how == "extended" else (None, ({"width": 2}, {"width": 2}))
    words = ("a", "a") if how == "extended" else ("a", "b")
    real = {name: getattr(os, name) for name in ("rename", "replace", "unlink", "rmdir")}
    done = 0

    def make(number, killed_at=0):
        nonlocal done
        done = 0

        def act(name):
            def call(*args, **kwargs):
                nonlocal done
                done += 1
                if done == killed_at:
                    raise Killed
                return real[name](*args, **kwargs)

            return call

        with monkeypatch.context() as patched:
            for name in real:
                patched.setattr(os, name, act(name))
            config, digests = Config(str(run), **settings[number]), {"table": words[number]}
            with rundir.open_stage(config, "work", kept=kept, digests=digests) as stage:
                if not stage.done:
                    (stage.path / "2.csv").write_text(words[number])
                    stage.complete()

    def left():
        return sorted(str(path.relative_to(run)) for path in run.rglob("*"))

    make(0)
    make(1)
    wanted, steps = left(), done
    for killed_at in range(1, steps + 1):
        shutil.rmtree(run)
        make(0)
        with pytest.raises(Killed):
            make(1, killed_at)
        make(1)
        assert left() == wanted, killed_at
        assert (run / "work/2.csv").read_text() == words[1]
        record = json_files.read_json(run / "work/stage.json")
        assert record["config"]["width"] == settings[1]["width"] and len(record.get("extends", [])) == (
            how == "extended"
        )
    assert steps > 5


def test_a_setting_that_older_versions_lacked_is_refused_too(run):
    do(run)
    record = json_files.read_json(run / "work" / "stage.json")
    del record["config"]["width"]
    json_files.write_json(run / "work" / "stage.json", record)
    with pytest.raises(InputError, match=re.escape("by a version without --width (now 4)")):
        do(run)


def test_killed_body_goes_on_in_what_it_left(run):
    with pytest.raises(Killed):
        do(run, body=kill)
    assert not (run / "work").exists()
    assert (run / "work.part" / "half.txt").read_text() == "half"
    (run / "tensorboard" / "work").mkdir(parents=True)
    seen = []
    worked, _ = do(run, body=lambda stage: seen.append((stage.path / "half.txt").read_text()))
    assert worked
    assert seen == ["half"]
    assert json_files.read_json(run / "work" / "stage.json")["resumed"] is True
    assert not (run / "work.part").exists()
    assert not (run / "work" / "settings.json").exists()
    assert (run / "tensorboard" / "work").exists()  # the curves continue, too


def test_killed_body_with_other_inputs_starts_anew(run):
    with pytest.raises(Killed):
        do(run, {"before": "d1"}, kill)
    (run / "tensorboard" / "work").mkdir(parents=True)
    do(run, {"before": "d2"})
    assert not (run / "work" / "half.txt").exists()
    assert not (run / "tensorboard" / "work").exists()
    assert json_files.read_json(run / "work" / "stage.json")["resumed"] is False


def test_what_is_left_without_its_settings_is_not_trusted(run):
    with pytest.raises(Killed):
        do(run, body=kill)
    (run / "work.part" / "settings.json").unlink()
    do(run, width=8)
    assert not (run / "work" / "half.txt").exists()


def die(*arguments, **keywords):
    raise Killed


def train(stage):
    """Leaves what a training leaves."""
    (stage.path / "checkpoints").mkdir(exist_ok=True)
    (stage.path / "checkpoints" / "epoch-9").write_text("")


def test_kill_before_the_renaming_keeps_the_checkpoints(run, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Path, "rename", die)
        do(run, body=train)
    seen = []
    worked, _ = do(run, body=lambda stage: seen.append((stage.path / "checkpoints" / "epoch-9").exists()))
    assert worked
    assert seen == [True]
    assert not list(run.rglob("checkpoints"))


def test_kill_after_the_renaming_leaves_a_whole_stage(run, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(Killed):
        do(run, body=lambda stage: (train(stage), patch.setattr(rundir.shutil, "rmtree", die)))
    worked, _ = do(run)
    assert not worked
    assert not list(run.rglob("checkpoints"))
    assert not list(run.rglob("settings.json"))


def test_real_sigkill_leaves_the_part_and_frees_the_lock(run):
    script = f"""
    import sys
    sys.path.insert(0, {str(Path(__file__).parents[2])!r})
    from tests.core.test_rundir import Config
    from rembrandt_featgen.core import registry, rundir
    registry.STAGES["work"] = registry.StageInfo("work", "work", "works")
    with rundir.open_stage(Config({str(run)!r}), "work", digests={{"before": "d1"}}) as stage:
        (stage.path / "half.txt").write_text("half")
        print("at work", flush=True)
        sys.stdin.read()
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "at work\n"
        with pytest.raises(InputError) as caught:
            do(run)
        who = rf"process {process.pid} on {re.escape(socket.gethostname())}, since [-\d]+ [:\d]+"
        at_work = rf"another process is at work on {re.escape(str(run / 'work'))} \({who}\)"
        assert re.fullmatch(f"{at_work}; wait for it or choose another --run_dir", str(caught.value))
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdin.close()
        process.stdout.close()
    assert (run / "work.part" / "half.txt").exists()
    assert do(run)[0] is True


def bad_input(stage):
    (stage.path / "half.txt").write_text("half")
    raise InputError("a.nii is truncated")


def test_input_error_in_a_fresh_stage_leaves_nothing(run):
    with pytest.raises(InputError, match="truncated"):
        do(run, body=bad_input)
    assert [path.name for path in run.iterdir()] == [".work.lock"]
    assert do(run, width=8)[0] is True  # with other settings: nothing remembers the first


def test_input_error_after_a_checkpoint_or_a_kill_keeps_the_work(run):
    def diverge(stage):
        (stage.path / "checkpoints").mkdir()
        bad_input(stage)

    with pytest.raises(InputError):
        do(run, body=diverge)
    assert (run / "work.part" / "checkpoints").exists()
    rundir.shutil.rmtree(run / "work.part" / "checkpoints")
    with pytest.raises(InputError):
        do(run, body=bad_input)
    assert (run / "work.part" / "half.txt").exists()


def test_body_that_does_not_complete_is_a_defect(run):
    with pytest.raises(RuntimeError, match="work ended without"), rundir.open_stage(Config(str(run)), "work"):
        pass
    assert not (run / "work").exists()


@pytest.mark.parametrize("text", ["", '{"config": {', None])
def test_damaged_record_says_the_mend(run, text):
    do(run)
    record = run / "work" / "stage.json"
    record.unlink() if text is None else record.write_text(text)
    with pytest.raises(InputError) as caught:
        do(run)
    for word in (str(record), "missing or damaged", "delete", "--run_dir"):
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "record",
    [
        "[]",
        '{"inputs": {}}',
        '{"config": [], "inputs": {}}',
        '{"config": {}, "inputs": {"a": 1}}',
        '{"config": {}, "inputs": {}, "figures": 3}',
        '{"config": {}, "inputs": {}, "classes": "LGG"}',
        "[" * 50000,
    ],
)
def test_record_of_no_stage_is_refused_in_one_line(run, record):
    do(run)
    (run / "work" / "stage.json").write_text(record)
    for call in (lambda: do(run), lambda: rundir.find(run, "work")):
        with pytest.raises(InputError, match="damaged.*delete the folder .*work"):
            call()


def test_what_a_stage_read_may_have_any_name(run):
    do(run)
    path = run / "work" / "stage.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "inputs": {"x" * 5000: "0", "a=/b": "1", "\0": "2"}}))
    assert len(rundir.find(run, "work").record["inputs"]) == 3


def test_find_gives_a_digest_of_the_record(run):
    with pytest.raises(InputError) as caught:
        rundir.find(run, "work")
    assert f"python -m rembrandt_featgen.stages.work --run_dir={run}" in str(caught.value)
    do(run)
    folder, record, digest = rundir.find(run, "work")
    assert folder == run / "work"
    assert record["figures"]["score"] == 0.5
    assert rundir.find(run, "work").digest == digest
    json_files.write_json(folder / "stage.json", {**record, "figures": {"score": 0.6}})
    assert rundir.find(run, "work").digest != digest


def test_found_stages_are_inputs_and_hand_on_their_classes(run):
    classes = {"names": ["a", "b"], "positive": "b"}
    with rundir.open_stage(Config(str(run)), "make_phantom", classes=classes) as stage:
        stage.complete()
    before = rundir.find(run, "make_phantom")
    assert before.record["classes"] == classes
    with rundir.open_stage(Config(str(run)), "train_generators", [before], digests={"x": "d"}, kind="acgan") as stage:
        stage.complete()
    found = rundir.find(run, "train_generators", "acgan")
    assert found.folder == run / "generator_acgan"
    assert found.record["inputs"] == {"phantom": before.digest, "x": "d"}
    assert (found.record["stage"], found.record["kind"]) == ("train_generators", "acgan")
    assert found.record["classes"] == classes


def test_find_inputs_are_those_that_the_registry_declares(run, monkeypatch):
    info = registry.StageInfo("last", "last", "", ("make_phantom", "train_generators", "work"))
    monkeypatch.setitem(registry.STAGES, "last", info)
    do(run)
    with pytest.raises(InputError, match="no finished phantom/"):
        rundir.find_inputs(run, "last", "cgan")
    for name, kind in (("make_phantom", ""), ("train_generators", "cgan")):
        with rundir.open_stage(Config(str(run)), name, kind=kind) as stage:
            stage.complete()
    assert list(rundir.find_inputs(run, "last", "cgan")) == ["make_phantom", "train_generators", "work"]
    assert list(rundir.find_inputs(run, "last")) == ["make_phantom", "work"]
    (run / "work" / "stage.json").unlink()
    assert list(rundir.find_inputs(run, "last", optional=["work"])) == ["make_phantom"]


def test_runs_of_version_0_1_are_refused_in_one_line(run):
    do(run)
    path = run / "work" / "stage.json"
    record = json.loads(path.read_text())
    assert record["versions"]["rembrandt_featgen"] == rembrandt_featgen.__version__
    del record["versions"]["rembrandt_featgen"]
    path.write_text(json.dumps(record))
    for again in (lambda: do(run), lambda: rundir.find(run, "work")):
        with pytest.raises(InputError, match="was made by version 0.1 of this program.*--run_dir") as caught:
            again()
        assert "\n" not in str(caught.value)


def test_studies_of_version_0_1_are_refused_by_the_folders_that_no_stage_has_now(run):
    (run / "splits").mkdir(parents=True)
    (run / "folds").mkdir()  # was of the folds' runs
    json_files.write_json(run / "splits" / "stage.json", {"versions": {"numpy": "1"}})
    for again in (lambda: do(run), lambda: rundir.find(run, "assign_folds")):
        with pytest.raises(InputError, match="splits was made by version 0.1 of this program.*another --run_dir"):
            again()


def test_a_path_that_is_written_otherwise_is_no_other_setting(run):
    """As from another current folder; what is read there counts."""
    flag = cli.flag("", "Cohort.", path=True)
    config = dataclasses.make_dataclass("Config", [("run_dir", str), ("cohort", str, flag)])

    def do(cohort, digest):
        with rundir.open_stage(config(str(run), cohort), "work", digests={"cohort": digest}) as stage:
            done = stage.done
            if not done:
                stage.complete()
        return done

    assert [do("cohort", "d1"), do("../cohort", "d1")] == [False, True]
    with pytest.raises(SettingsError, match=r"--cohort=cohort \(now other\)"):
        do("other", "d2")
    assert do("cohort", "d2") is False  # it has changed


def test_stage_that_is_a_link_loses_the_link_alone(run, tmp_path):
    do(run)
    (run / "work").rename(tmp_path / "elsewhere")
    (run / "work").symlink_to(tmp_path / "elsewhere")
    assert do(run)[0] is False
    assert do(run, inputs={"before": "d2"})[0] is True
    assert not (run / "work").is_symlink()
    assert (tmp_path / "elsewhere" / "stage.json").exists()


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=re.escape(f"--run_dir={tmp_path / 'file' / 'run'}: cannot make")):
        do(tmp_path / "file" / "run")


def test_another_worker_has_a_copy_of_what_the_chief_resumes_from(run):
    def looked_at(stage):
        (stage.path / "part0").mkdir()
        for name in ("history.json", "part0/best.npz", "train-00000.tfrecord"):
            (stage.path / name).write_text(name)
        with rundir.open_copy(Config(str(run), processes=2), "work") as copy:
            assert not copy.done and copy.path != stage.path and copy.logs != stage.logs
            assert sorted(str(path.relative_to(copy.path)) for path in copy.path.rglob("*") if path.is_file()) == [
                "flags.txt",
                "history.json",
                "part0/best.npz",
                "settings.json",
            ]
            (copy.path / "history.json").write_text("of the copy")
        assert not copy.path.exists() and (stage.path / "history.json").read_text() == "history.json"
        with (
            pytest.raises(InputError, match=r"--width=4 \(now 5\)"),
            rundir.open_copy(Config(str(run), width=5), "work"),
        ):
            pass

    do(run, body=looked_at)
    with rundir.open_copy(Config(str(run)), "work") as copy:
        assert copy.done and copy.path == run / "work"
