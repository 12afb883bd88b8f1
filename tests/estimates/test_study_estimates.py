"""--estimate_only of a study of a table: a row, what could be found, and nothing written."""

import numpy as np
import pytest

from rembrandt_featgen.core import cli
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.estimates import limits, step_clocks, trial_runs
from rembrandt_featgen.evaluation import engine
from rembrandt_featgen.stages import evaluate_features, fewshot


def test_a_table_of_features_is_tried_by_some_of_its_tasks(tmp_path, temporary, lines):
    labels = np.repeat([0, 1], [20, 16])
    values = np.random.default_rng(0).normal(size=(36, 3)) + labels[:, np.newaxis]
    rows = [f"p{n},{'ab'[label]},{','.join(map(str, row))}" for n, (label, row) in enumerate(zip(labels, values))]
    (tmp_path / "t.csv").write_text("\n".join(["patient,label,x,y,z", *rows]))
    flags = [f"--run_dir={tmp_path}/run", f"--features={tmp_path}/t.csv", "--classes=a,b", "--classifiers=ridge"]
    flags += ["--arms=none,weight_decay,smote", "--arm_amounts=0", "--bootstrap_draws=100", "--cv_folds=3"]
    evaluate_features.estimate(cli.parse(evaluate_features.Config, flags))
    said = lines()
    assert " ".join(said[2].split()).startswith("evaluate_features 15 tasks of 36 vectors ")
    assert "With 36 test patients (a 20, b 16)" in said[-2]
    assert not (tmp_path / "run").exists() and not [*temporary.glob("rembrandt_featgen_*")]


@pytest.fixture
def few(tmp_path):
    """Flags of a study of few patients."""
    rows = [f"p{n},{'ab'[n % 2]},{n % 2 + n / 30}" for n in range(40)]
    (tmp_path / "t.csv").write_text("\n".join(["patient,label,x", *rows]))
    flags = [f"--run_dir={tmp_path}/run", f"--features={tmp_path}/t.csv", "--classes=a,b", "--shots=5", "--draws=24"]
    return [*flags, "--few_shot_arms=none,smote", "--few_shot_classifiers=ridge", "--bootstrap_draws=100"]


def test_a_study_of_few_patients_is_tried_by_some_of_its_draws(tmp_path, few, temporary, capsys):
    fewshot.estimate(cli.parse(fewshot.Config, few))
    said, measuring = capsys.readouterr()
    said = said.strip().splitlines()
    assert " ".join(said[2].split()).startswith("fewshot 24 draws of 40 vectors ")
    assert "With 40 test patients (a 20, b 20)" in said[-4]
    assert said[-2].startswith("That counts patients who are tested. Each draw trains on few, ")
    assert said[-1].startswith("24 draws are few: ")
    first, second = measuring.strip().splitlines()
    assert first.startswith("measuring fewshot: 8 of 24 draws of --shots=5, which also compile what all use ... ")
    assert second.startswith("measuring fewshot: 8 of 24 draws of --shots=5 ... ") and second.endswith(" s")
    assert not (tmp_path / "run").exists() and not [*temporary.glob("rembrandt_featgen_*")]


def test_time_of_draws_grows_with_their_number_and_the_start_counts_once(few, temporary, lines, monkeypatch):
    def clock(*seconds):
        found = step_clocks.Clock()
        for one in seconds:
            found.add(np.array([one, 2.0 * one]))
        return found

    def measured(seconds, tasks):
        clocks = {"tasks": clock(*tasks), "resamples": clock(6.0)}
        return trial_runs.Measured(np.array([seconds, 2.0 * seconds]), clocks, memory=2**30, disk=2**20, work=2**26)

    tables, read = [], fewshot.shared_flags.read_features
    monkeypatch.setattr(fewshot.shared_flags, "read_features", lambda config: tables.append(read(config)) or tables[0])
    trials = [measured(60.0, [40.0, 5.0]), measured(40.0, [20.0, 4.0])]
    monkeypatch.setattr(trial_runs, "measured", lambda *given, **named: trials.pop(0))
    monkeypatch.setattr(step_clocks, "since_start", lambda: np.array([7.0, 5.0]))
    fewshot.estimate(cli.parse(fewshot.Config, few))
    said = [" ".join(line.split()) for line in lines()]
    assert said[1].endswith(" 7 s 5 s 0 KiB 0 KiB")
    # thrice the 8 draws of the trial: 10 s once, 3 x 30, and 45 - 24 to compile; predictions take twice in memory what
    # they take on disk
    assert said[2] == "fewshot 24 draws of 40 vectors 2.0 min 4.0 min 1.2 GiB 3.0 MiB"
    assert said[3].startswith("all 2.1 min 4.1 min ") and not trials and len(tables) == 1


def test_draws_whose_predictions_do_not_fit_are_refused_before_any_is_done(tmp_path, few, monkeypatch):
    monkeypatch.setattr(engine, "run_parts", lambda *given: pytest.fail("a draw was done"))
    # 24 draws test 10 of 20, beside 5 who are learnt from and 5 in reserve, and 8 of 20; a row of each of two pipelines
    # has 144 bytes, twice
    needed = 24 * (10 + 8) * 2 * 144 * 2
    monkeypatch.setattr(limits, "room", lambda run_dir: limits.Room(needed - 1, 2**40, tmp_path))
    with pytest.raises(InputError, match=r"^fewshot needs 243 KiB of memory, .*; take fewer --draws, --few_shot_arms "):
        fewshot.run(cli.parse(fewshot.Config, few))
    monkeypatch.setattr(limits, "room", lambda run_dir: limits.Room(needed, 2 * 80 * 24 * 18 * 2 - 1, tmp_path))
    with pytest.raises(InputError, match=r"^fewshot needs 135 KiB of disk, .*; take fewer --draws, --few_shot_arms "):
        fewshot.run(cli.parse(fewshot.Config, few))
    assert not (tmp_path / "run").exists()
    monkeypatch.setattr(fewshot.rundir, "is_done_by", lambda config, name: True)  # whatever is free, there it is
    with pytest.raises(pytest.fail.Exception, match="a draw was done"):
        fewshot.run(cli.parse(fewshot.Config, few))
