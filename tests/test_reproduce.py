"""How tools/reproduce reads its arguments, with `echo` for Python; tests/test_pipeline.py runs it."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def reproduce(folder, *arguments):
    """Runs it from `folder`; returns its error and the two commands that it would run."""
    environment = {**os.environ, "REPRODUCE_PYTHON": "echo"}
    command = [ROOT / "tools" / "reproduce", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=30, env=environment)
    assert (done.returncode != 0) == (done.stderr != "")
    return done.stderr, [line.split() for line in done.stdout.splitlines()]


@pytest.mark.parametrize("run", [["--run_dir=out"], ["--run_dir", "out"], ["-run_dir", "out"]])
def test_relative_paths_are_from_the_users_folder(tmp_path, run):
    (tmp_path / "my.flags").write_text("--run_dir=runs/another\n")
    _, (pretraining, main) = reproduce(
        tmp_path, *run, "--flagfile=my.flags", "--cohort", "data/mine", "--seed", "5", "--augment"
    )
    assert main[1:] == [
        "rembrandt_featgen.stages.pipeline",
        f"--flagfile={tmp_path}/my.flags",
        f"--cohort={tmp_path}/data/mine",
        "--seed",
        "5",
        "--augment",
        f"--run_dir={tmp_path}/out",
        f"--unet_weights={tmp_path}/out/pretraining/unet/best.npz",
    ]
    assert f"--run_dir={tmp_path}/out/pretraining" in pretraining


def test_flagfile_names_the_run_and_given_weights_need_no_pretraining(tmp_path):
    _, (main,) = reproduce(tmp_path, "--tcga", "--unet_weights=/w.npz", "--cohort=phantom")
    assert "--flagfile=flags/reproduce_tcga.flags" in main
    assert {"--run_dir=runs/reproduce_tcga", "--unet_weights=/w.npz", "--cohort=phantom"} <= set(main)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--flagfile=none.flags"], "none.flags: there is no such file"),
        (["--flagfile=empty.flags"], "empty.flags names no --run_dir of its own"),
        (["--tcga", "--flagfile=empty.flags"], "--tcga selects a flagfile itself"),
        (["--flagfile=empty.flags", "--tcga"], "--tcga selects a flagfile itself"),
        (["--run_dir"], "--run_dir needs a value"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(tmp_path, arguments, message):
    (tmp_path / "empty.flags").write_text("--seed=1\n")
    error, commands = reproduce(tmp_path, *arguments)
    assert message in error and error.count("\n") == 1
    assert commands == []
