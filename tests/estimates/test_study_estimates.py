"""--estimate_only of a study of a table: a row, what could be found, and nothing written."""

import numpy as np

from rembrandt_featgen.core import cli
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
    assert said[1].startswith("evaluate_features  15 tasks of 36 vectors  ")
    assert "With 36 test patients (a 20, b 16)" in said[-2]
    assert not (tmp_path / "run").exists() and not [*temporary.glob("rembrandt_featgen_*")]


def test_a_study_of_few_patients_is_tried_by_some_of_its_draws(tmp_path, temporary, lines):
    rows = [f"p{n},{'ab'[n % 2]},{n % 2 + n / 30}" for n in range(40)]
    (tmp_path / "t.csv").write_text("\n".join(["patient,label,x", *rows]))
    flags = [f"--run_dir={tmp_path}/run", f"--features={tmp_path}/t.csv", "--classes=a,b", "--shots=5", "--draws=24"]
    flags += ["--few_shot_arms=none,smote", "--few_shot_classifiers=ridge", "--bootstrap_draws=100"]
    fewshot.estimate(cli.parse(fewshot.Config, flags))
    said = lines()
    assert said[1].startswith("fewshot  24 draws of 40 vectors  ") and "With 40 test patients (a 20, b 20)" in said[-2]
    assert not (tmp_path / "run").exists() and not [*temporary.glob("rembrandt_featgen_*")]
