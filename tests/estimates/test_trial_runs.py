"""Trials of a run: whose patients they have, and what they read of their stages."""

import pytest

from rembrandt_featgen import stages
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.cohort.patients import Cohort, Patient
from rembrandt_featgen.core import cli
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.estimates import trial_runs
from rembrandt_featgen.stages import pipeline, trial_stages


def test_patients_of_a_trial_are_of_all_over_the_list_and_groups_by_themselves():
    patients = [Patient(f"{n:02}", "ab"[n % 2], images={}, mask=None, group="one") for n in range(20)]
    cohort = Cohort(patients, Classes(("a", "b"), "b"))
    found = trial_runs.chosen(cohort, 3).patients
    assert [one.id for one in found] == ["00", "01", "08", "09", "18", "19"]
    assert {one.group for one in found} == {one.id for one in found}
    assert len(trial_runs.chosen(cohort, 30).patients) == 20


def test_a_record_of_a_trial_that_cannot_be_read_is_an_error_and_one_that_is_not_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(trial_runs, "measured", lambda *given, **named: None)
    own = cli.parse(pipeline.Config, [f"--run_dir={tmp_path}"], stages.all_flags)
    trial = trial_runs.Trial(tmp_path, own)
    trial_runs._run(trial, ["train_unet"], None, calls=trial_stages.CALLS)
    assert trial.figures == {}
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "stage.json").write_text("{")
    with pytest.raises(InputError, match="stage.json"):
        trial_runs._run(trial, ["train_unet"], None, calls=trial_stages.CALLS)
