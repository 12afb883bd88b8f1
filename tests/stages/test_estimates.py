"""--estimate_only: a table, what could be found, and nothing written; what does not fit is refused in one line."""

import tempfile

import numpy as np
import pytest

from rembrandt_featgen import stages
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.cohort.patients import Cohort, Patient
from rembrandt_featgen.core import cli, json_files, registry
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.stages import (
    crossvalidate,
    estimates,
    evaluate_features,
    extrapolation,
    fewshot,
    limits,
    pipeline,
    study_trials,
    trial_runs,
)

TINY = ["--cohort=phantom", "--phantom_counts=LGG:8,HGG:9", "--phantom_test_counts=LGG:20,HGG:20", "--phantom_size=32"]
TINY += ["--phantom_slices=3", "--image_size=32", "--unet_width=1", "--unet_batch=4", "--unet_epochs=7"]
TINY += ["--last_stage=train_unet", "--validation_fraction=0.2"]


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Where temporary folders are made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    return tmp_path / "tmp"


def lines(capsys):
    return capsys.readouterr().out.strip().splitlines()


def test_a_run_is_tried_told_and_leaves_nothing(tmp_path, temporary, capsys, monkeypatch):
    own = cli.parse(pipeline.Config, [f"--run_dir={tmp_path}/run", *TINY], stages.all_flags)
    pipeline.estimate(own)
    said = lines(capsys)
    names = [line.split()[0] for line in said[: said.index("")]]
    assert names == ["stage", "make_phantom", "report_cohort", "prepare_slices", "train_unet", "all"]
    assert "57 patients, 171 slices" in said[3] and "7 x " in said[4]
    assert any(line.startswith("With 40 test patients (LGG 20, HGG 20), a difference of some ") for line in said)
    assert "AUROC of 0.8" in said[-1]
    assert not (tmp_path / "run").exists() and not [*temporary.glob("rembrandt_featgen_*")]
    monkeypatch.setattr(limits, "room", lambda run_dir: limits.Room(2**20, 2**40, tmp_path))
    monkeypatch.setattr(limits, "check", lambda config, names: None)
    monkeypatch.setattr(trial_runs, "run", lambda *given, **named: trial)
    trial = trial_runs.Trial(tmp_path, own, {"train": {"LGG": 1, "HGG": 1}}, {"train": {"LGG": 3, "HGG": 3}})
    trial.stages["train_unet"] = trial_runs.Measured(np.ones(2), {}, memory=2**30)
    with pytest.raises(
        InputError, match=r"^train_unet needs 1\.0 GiB of memory, and 1\.0 MiB are available here; take"
    ):
        pipeline.estimate(own)
    assert lines(capsys)[1].startswith("train_unet ")  # the table comes first


def test_a_table_of_features_is_tried_by_some_of_its_tasks(tmp_path, temporary, capsys):
    labels = np.repeat([0, 1], [20, 16])
    values = np.random.default_rng(0).normal(size=(36, 3)) + labels[:, np.newaxis]
    rows = [f"p{n},{'ab'[label]},{','.join(map(str, row))}" for n, (label, row) in enumerate(zip(labels, values))]
    (tmp_path / "t.csv").write_text("\n".join(["patient,label,x,y,z", *rows]))
    flags = [f"--run_dir={tmp_path}/run", f"--features={tmp_path}/t.csv", "--classes=a,b", "--classifiers=ridge"]
    flags += ["--arms=none,weight_decay,smote", "--arm_amounts=0", "--bootstrap_draws=100", "--cv_folds=3"]
    evaluate_features.estimate(cli.parse(evaluate_features.Config, flags))
    said = lines(capsys)
    assert said[1].startswith("evaluate_features  15 tasks of 36 vectors  ")
    assert "With 36 test patients (a 20, b 16)" in said[-2]
    assert not (tmp_path / "run").exists() and not [*temporary.glob("rembrandt_featgen_*")]


def test_patients_of_a_trial_are_of_all_over_the_list_and_groups_by_themselves():
    patients = [Patient(f"{n:02}", "ab"[n % 2], images={}, mask=None, group="one") for n in range(20)]
    cohort = Cohort(patients, Classes(("a", "b"), "b"))
    found = trial_runs.chosen(cohort, 3).patients
    assert [one.id for one in found] == ["00", "01", "08", "09", "18", "19"]
    assert {one.group for one in found} == {one.id for one in found}
    assert len(trial_runs.chosen(cohort, 30).patients) == 20


def test_the_table_shows_totals_and_units():
    rows = [
        extrapolation.Row("a", "3 patients", np.array([30.0, 60.0]), memory=2**30, disk=3 * 2**20),
        extrapolation.Row("b", "4 slices", np.array([7200.0, 89.0]), memory=2**20, disk=2**31, times=5),
    ]
    text = "\n".join(" ".join(line.split()) for line in estimates.table(rows))
    assert text == (
        "stage samples time CPU time memory disk\na 3 patients 30 s 60 s 1.0 GiB 3.0 MiB\n"
        "b 4 slices, 5 times 2.0 h 89 s 1.0 MiB 2.0 GiB\nall 2.0 h 2.5 min 1.0 GiB 2.0 GiB"
    )


def test_a_study_of_few_patients_is_tried_by_some_of_its_draws(tmp_path, temporary, capsys):
    rows = [f"p{n},{'ab'[n % 2]},{n % 2 + n / 30}" for n in range(40)]
    (tmp_path / "t.csv").write_text("\n".join(["patient,label,x", *rows]))
    flags = [f"--run_dir={tmp_path}/run", f"--features={tmp_path}/t.csv", "--classes=a,b", "--shots=5", "--draws=24"]
    flags += ["--few_shot_arms=none,smote", "--few_shot_classifiers=ridge", "--bootstrap_draws=100"]
    fewshot.estimate(cli.parse(fewshot.Config, flags))
    said = lines(capsys)
    assert said[1].startswith("fewshot  24 draws of 40 vectors  ") and "With 40 test patients (a 20, b 20)" in said[-2]
    assert not (tmp_path / "run").exists() and not [*temporary.glob("rembrandt_featgen_*")]


def test_stages_of_a_study_count_once_for_each_fold(tmp_path, capsys, monkeypatch):
    def tried(config, cohort, names, folder):
        assert list(names) == ["make_phantom", "report_cohort", "prepare_slices", "train_unet", "extract_vectors"]
        found = trial_runs.Trial(folder, config, {"train": {"LGG": 1, "HGG": 1}}, {"train": {"LGG": 3, "HGG": 3}})
        found.stages = {name: trial_runs.Measured(np.ones(2), {}, memory=2**30, disk=2**20) for name in names}
        found.figures["extract_vectors"] = {"columns": 5}
        return found

    def study(config, studied, folder):
        assert len(studied[0].table) == 8 + 9 and len(studied[0].tasks) == config.trainings
        return extrapolation.Row("evaluate_features", "", np.ones(2), memory=1, disk=1)

    monkeypatch.setattr(trial_runs, "run", tried)
    monkeypatch.setattr(study_trials, "row", study)
    flags = [flag for flag in TINY if "last_stage" not in flag and "test_counts" not in flag]
    flags += ["--cv_folds=3", "--cv_repeats=2", "--cv_workers=2", "--classifiers=ridge", "--arms=none,gaussian"]
    crossvalidate.estimate(cli.parse(crossvalidate.Config, [f"--run_dir={tmp_path}/run", *flags], stages.all_flags))
    said = {line.split()[0]: " ".join(line.split()) for line in lines(capsys) if line}
    assert said["train_unet"] == "train_unet 7 x 7 steps, 6 times 6 s 6 s 2.0 GiB 6.0 MiB"
    assert said["share_slices"].endswith(" slices 1 s 1 s 1.0 GiB 8.5 MiB")  # 51 slices, of 6
    assert "With 17 test patients (LGG 8, HGG 9)" in said["With"]
    assert not (tmp_path / "run").exists()


def test_what_is_done_takes_nothing_unless_it_was_made_by_other_settings(tmp_path):
    own = cli.parse(pipeline.Config, [f"--run_dir={tmp_path}", *TINY], stages.all_flags)
    names = ["make_phantom", "prepare_slices", "train_unet"]

    def finish(name, **changes):
        settings = cli.settings(stages.share(stages.modules([name])[name], own)) | changes
        settings.pop("run_dir")
        (tmp_path / registry.folder(name)).mkdir(exist_ok=True)
        record = {"config": json_files.plain(settings), "inputs": {}}
        json_files.write_json(tmp_path / registry.folder(name) / "stage.json", record)

    assert estimates._done(own, names) == set()
    finish("make_phantom")
    finish("train_unet")  # of slices that are made anew
    assert estimates._done(own, names) == {"make_phantom"}
    finish("prepare_slices", image_size=64)
    assert estimates._done(own, names) == {"make_phantom"}
    finish("prepare_slices")
    assert estimates._done(own, names) == {*names}


def test_a_record_of_a_trial_that_cannot_be_read_is_an_error_and_one_that_is_not_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(trial_runs, "measured", lambda *given, **named: None)
    own = cli.parse(pipeline.Config, [f"--run_dir={tmp_path}", *TINY], stages.all_flags)
    trial = trial_runs.Trial(tmp_path, own)
    trial_runs._run(trial, ["train_unet"], None)
    assert trial.figures == {}
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "stage.json").write_text("{")
    with pytest.raises(InputError, match="stage.json"):
        trial_runs._run(trial, ["train_unet"], None)
