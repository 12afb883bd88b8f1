"""--estimate_only of a run: a table, what could be found, and nothing written; what does not fit is one line."""

import numpy as np
import pytest

from rembrandt_featgen import stages
from rembrandt_featgen.core import cli, json_files, registry
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.estimates import extrapolation, limits, run_estimates, study_trials, trial_runs
from rembrandt_featgen.stages import crossvalidate, pipeline, trial_stages

TINY = ["--cohort=phantom", "--phantom_counts=LGG:8,HGG:9", "--phantom_test_counts=LGG:20,HGG:20", "--phantom_size=32"]
TINY += ["--phantom_slices=3", "--image_size=32", "--unet_width=1", "--unet_batch=4", "--unet_epochs=7"]
TINY += ["--last_stage=train_unet", "--validation_fraction=0.2"]


def test_a_run_is_tried_and_leaves_nothing(tmp_path, temporary, lines, monkeypatch):
    own = cli.parse(pipeline.Config, [f"--run_dir={tmp_path}/run", *TINY], stages.all_flags)
    pipeline.estimate(own)
    said = lines()
    names = [line.split()[0] for line in said[: said.index("")]]
    assert names == ["stage", "start-up", "make_phantom", "report_cohort", "prepare_slices", "train_unet", "all"]
    assert "57 patients, 171 slices" in said[4] and "7 x " in said[5]
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
    assert lines()[2].startswith("train_unet ")  # the table comes first


def test_stages_of_a_study_count_once_for_each_fold(tmp_path, lines, monkeypatch):
    def tried(config, cohort, names, folder, calls):
        assert list(names) == ["make_phantom", "report_cohort", "prepare_slices", "train_unet", "extract_vectors"]
        found = trial_runs.Trial(folder, config, {"train": {"LGG": 1, "HGG": 1}}, {"train": {"LGG": 3, "HGG": 3}})
        found.stages = {name: trial_runs.Measured(np.ones(2), {}, memory=2**30, disk=2**20) for name in names}
        found.figures["extract_vectors"] = {"columns": 5}
        return found

    def study(config, studied, folder, *, study):
        assert len(studied[0].table) == 8 + 9 and len(studied[0].tasks) == config.trainings
        return extrapolation.Row("evaluate_features", "", np.ones(2), memory=1, disk=1)

    monkeypatch.setattr(trial_runs, "run", tried)
    monkeypatch.setattr(study_trials, "row", study)
    flags = [flag for flag in TINY if "last_stage" not in flag and "test_counts" not in flag]
    flags += ["--cv_folds=3", "--cv_repeats=2", "--cv_workers=2", "--classifiers=ridge", "--arms=none,gaussian"]
    crossvalidate.estimate(cli.parse(crossvalidate.Config, [f"--run_dir={tmp_path}/run", *flags], stages.all_flags))
    said = {line.split()[0]: " ".join(line.split()) for line in lines() if line}
    assert said["start-up"].startswith("start-up reading the program and its libraries, 3 times ")
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

    assert run_estimates._done(own, names, trial_stages.CALLS) == set()
    finish("make_phantom")
    finish("train_unet")  # of slices that are made anew
    assert run_estimates._done(own, names, trial_stages.CALLS) == {"make_phantom"}
    finish("prepare_slices", image_size=64)
    assert run_estimates._done(own, names, trial_stages.CALLS) == {"make_phantom"}
    finish("prepare_slices")
    assert run_estimates._done(own, names, trial_stages.CALLS) == {*names}
