"""A study of patient vectors: crossvalidate --cv_features=vectors, from phantoms to its report."""

import json

import pandas as pd

from rembrandt_featgen.stages import crossvalidate

SETTINGS = {
    "cohort": "phantom",
    "phantom_counts": ("LGG:8", "HGG:8"),
    "phantom_size": 48,
    "phantom_slices": 3,
    "image_size": 48,
    "unet_width": 2,
    "unet_epochs": 1,
    "cv_features": "vectors",
    "cv_folds": 2,
    "cv_seeds": 1,
    "validation_fraction": 0.4,
    "vectors": "numbers",
    "vector_arms": ("none", "smote", "gaussian"),
    "vector_classifiers": ("ridge",),
    "arm_amounts": ("0",),
    "bootstrap_draws": 50,
}


def test_folds_of_vectors_become_a_report(tmp_path, capsys):
    config = crossvalidate.Config(run_dir=str(tmp_path / "study"), **SETTINGS)
    crossvalidate.run(config)
    folder = tmp_path / "study" / "report"
    report = json.loads((folder / "report.json").read_text())
    assert capsys.readouterr().out.endswith(f"verdict: {report['verdict']}\n")
    assert [row["arm"] for row in report["arms"] if row["unit"] == "patient"] == ["none", "smote", "gaussian"]
    assert report["segmentation"]["test"]["volumes"]["dice"]["volumes"] > 0
    table = pd.read_csv(folder / "predictions.csv")
    assert set(table["plan"]) == {"k-fold"} and set(table["fold"]) == {"fold0", "fold1"}
    assert table[table["arm"] == "none"]["patient"].nunique() == 16
    assert not any((tmp_path / "study").rglob("generator_*"))
