import pytest

from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation.schedulers import Serial
from rembrandt_featgen.stages import fold_jobs, share_slices


def jobs(study, count):
    return [[("prepare_slices", share_slices.Config(run_dir=str(study / f"fold{number}")))] for number in range(count)]


def test_slices_come_first_then_each_fold(tmp_path, monkeypatch):
    done = []
    monkeypatch.setattr(fold_jobs, "_share", lambda config: done.append(("share", config)))
    monkeypatch.setattr(fold_jobs, "_learn", lambda job: done.append(("learn", job)))
    folds = jobs(tmp_path, 2)
    fold_jobs.learn_folds_by(Serial(), folds, first="slices", study=tmp_path)
    assert done == [("share", "slices"), ("learn", folds[0]), ("learn", folds[1])]
    assert not list(tmp_path.iterdir())  # the token is taken away


@pytest.mark.parametrize("token", ["of another folder of that name", None])
def test_a_process_that_does_not_see_the_study_is_named(tmp_path, monkeypatch, token):
    monkeypatch.chdir(tmp_path)
    if token:
        (tmp_path / ".shared").write_text(token)
    work = fold_jobs.FoldWork(str(tmp_path), study=str(tmp_path), token="mine")
    message = f"--run_dir={tmp_path}: the worker on .* does not see it .*; take a folder that all machines share"
    with pytest.raises(InputError, match=message):
        work(jobs(tmp_path, 1)[0])
