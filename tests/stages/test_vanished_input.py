"""What a run or a study reads is deleted while it is at work: one line, and what was finished stays whole."""

import shutil

import pytest

from rembrandt_featgen.cohort import phantom
from rembrandt_featgen.data import slice_writing
from rembrandt_featgen.evaluation import engine
from rembrandt_featgen.nn.checkpointing import Checkpointing
from rembrandt_featgen.stages import evaluate_features, pipeline
from tests.stages import vector_files

RUN = ("--image_size=32", "--unet_width=2", "--unet_epochs=4", "--last_stage=train_unet")


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """A cohort of 12 phantoms; tests delete copies of it."""
    return phantom.write_phantom(tmp_path_factory.mktemp("clean") / "cohort", {"LGG": 6, "HGG": 6}, size=32, slices=3)


def ends(main, monkeypatch, capsys, *arguments):
    """The one line with which a binary ends."""
    monkeypatch.setattr("sys.argv", ["binary", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    said = capsys.readouterr().err
    assert stop.value.code == 1 and "Traceback" not in said, said
    (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
    assert said.rstrip().endswith(line)
    return line


def content(folder):
    """Path to bytes of each file of a folder, but for locks."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def deleting(monkeypatch, where, name, *, folder, at, before=lambda: None):
    """Has a folder or file be gone once a function was called so often."""
    original, calls = getattr(where, name), []

    def call(*args, **kwargs):
        calls.append(name)
        if len(calls) == at:
            before()
            shutil.rmtree(folder) if folder.is_dir() else folder.unlink()
        return original(*args, **kwargs)

    monkeypatch.setattr(where, name, call)
    return calls


def test_a_cohort_vanishes_as_its_volumes_are_read(clean, tmp_path, monkeypatch, capsys):
    cohort, run = shutil.copytree(clean, tmp_path / "cohort"), tmp_path / "run"
    finished = {}
    flags = (f"--run_dir={run}", f"--cohort={cohort}", *RUN)
    with monkeypatch.context() as patch:
        deleting(
            patch,
            slice_writing,
            "read_patient",
            folder=cohort,
            at=3,
            before=lambda: finished.update(content(run / "cohort_report")),
        )
        line = ends(pipeline.main, patch, capsys, *flags)
    assert str(cohort) in line and "no such file; add it" in line
    assert finished and content(run / "cohort_report") == finished
    assert not (run / "slices").exists()
    line = ends(pipeline.main, monkeypatch, capsys, *flags)  # while it is gone
    assert f"--cohort={cohort}" in line and content(run / "cohort_report") == finished


def test_slices_vanish_as_a_network_learns_them(clean, tmp_path, monkeypatch, capsys):
    run = tmp_path / "run"
    flags = (f"--run_dir={run}", f"--cohort={clean}", *RUN)
    with monkeypatch.context() as patch:
        deleting(patch, Checkpointing, "on_epoch_end", folder=run / "slices", at=2)
        line = ends(pipeline.main, patch, capsys, *flags)
    assert str(run / "slices") in line
    assert (run / "cohort_report" / "stage.json").exists() and not (run / "unet").exists()


def test_a_table_vanishes_after_it_was_read(tmp_path, monkeypatch, capsys):
    table = vector_files.write(tmp_path, {"benign": 16, "malignant": 16}, 1.5)
    flags = ["--cv_folds=2", "--trainings=1", "--arms=none", "--classifiers=ridge", "--bootstrap_draws=100"]
    flags += [f"--features={table}", f"--run_dir={tmp_path / 'run'}"]
    text = table.read_text()
    with monkeypatch.context() as patch:
        deleting(patch, engine, "run_parts", folder=table, at=1)
        patch.setattr("sys.argv", ["binary", *flags])
        evaluate_features.main()
    finished = content(tmp_path / "run" / "study")
    line = ends(evaluate_features.main, monkeypatch, capsys, *flags)
    assert f"--features={table}" in line
    assert content(tmp_path / "run" / "study") == finished
    table.write_text(text)
    evaluate_features.main()
    assert content(tmp_path / "run" / "study") == finished
