import json

import numpy as np
import pandas as pd
import pytest

from rembrandt_featgen.cohort import splits
from rembrandt_featgen.core import rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.features import importing, stored_tables
from rembrandt_featgen.stages import evaluate_features
from tests.stages import vector_files


@pytest.fixture
def features(tmp_path):
    return vector_files.write(tmp_path, {"benign": 30, "malignant": 18}, 2.5, site=np.tile(["east", "west"], 24))


def config(path, **changes):
    settings = {
        "run_dir": str(path.parent / "run"),
        "features": str(path),
        "cv_folds": 3,
        "trainings": 1,
        "validation_fraction": 0.25,
        "arms": ("none", "smote", "gaussian"),
        "arm_amounts": ("0", "1"),
        "classifiers": ("ridge", "neighbours"),
        "bootstrap_draws": 100,
    }
    return evaluate_features.Config(**{**settings, **changes})


def test_a_table_becomes_a_report(features, capsys):
    evaluate_features.run(config(features, classifiers=("cnn", "ridge", "neighbours")))
    folder = features.parent / "run" / "study"
    report = json.loads((folder / "report.json").read_text())
    assert capsys.readouterr().out.endswith(f"verdict: {report['verdict']}\n")
    assert report["cohort"]["patients"] == {"benign": 30, "malignant": 18}
    by_patient = [row for row in report["arms"] if row["unit"] == "patient"]
    assert [(row["classifier"], row["arm"]) for row in by_patient] == [
        (classifier, arm) for classifier in ("ridge", "neighbours") for arm in ("none", "smote", "gaussian")
    ]
    assert all(row["auroc"] > 0.8 for row in by_patient)
    assert "ridge: no augmentation" in (folder / "index.html").read_text()
    assert len(pd.read_csv(folder / "predictions.csv")) == 48 * 2 * (1 + 2 + 2)
    assert report["settings"]["classifiers"] == ["ridge", "neighbours"]  # of vectors there is no cnn
    assert report["versions"] == json.loads((folder / "stage.json").read_text())["versions"]
    assert not any("sites" in line for line in report["warnings"])
    written = (folder / "report.json").stat().st_mtime_ns
    evaluate_features.run(config(features, classifiers=("cnn", "ridge", "neighbours")))
    assert (folder / "report.json").stat().st_mtime_ns == written


def test_one_site_is_left_out_at_a_time(features):
    evaluate_features.run(config(features, plan="sites", classifiers=("ridge",), arms=("none", "smote")))
    table = pd.read_csv(features.parent / "run" / "study" / "predictions.csv")
    assert set(zip(table["fold"], table["site"])) == {("east", "east"), ("west", "west")}
    report = json.loads((features.parent / "run" / "study" / "report.json").read_text())
    assert sum("Only 2 sites were held out" in line for line in report["warnings"]) == 1


def test_a_split_of_the_file_and_samples_made_elsewhere(features):
    table = pd.read_csv(features)
    table["split"] = np.tile(["train", "test", "validation", "train"], 12)
    table.to_csv(features, index=False)
    synthetic = features.parent / "synthetic.csv"
    table[table["split"] == "train"].drop(columns="patient").to_csv(synthetic, index=False)
    arms = ("none", "synthetic")
    evaluate_features.run(config(features, plan="split", synthetic=str(synthetic), arms=arms))
    written = pd.read_csv(features.parent / "run" / "study" / "predictions.csv")
    assert set(written["patient"]) == set(table["patient"][table["split"] == "test"])
    assert set(written["arm"]) == set(arms)
    page = (features.parent / "run" / "study" / "index.html").read_text(encoding="utf-8")
    assert "33% of the patients that are not tested choose settings" in page  # 12 of 36, whatever the flag says
    table["group"] = ["family", "family", *table["patient"][2:]]  # of train and of test
    table.to_csv(features, index=False)
    message = "--features=.*radiomics.csv, column split: group family of patients is both in train and in test"
    with pytest.raises(InputError, match=message):
        evaluate_features.run(config(features, plan="split", run_dir=str(features.parent / "other")))
    assert not (features.parent / "other").exists()
    table.loc[0, "split"] = "tset"
    table.to_csv(features, index=False)
    with pytest.raises(InputError, match="has split 'tset'|has split tset"):
        evaluate_features.run(config(features, plan="split", run_dir=str(features.parent / "other")))


def test_vectors_of_a_run_are_studied_by_its_own_split(features, monkeypatch):
    whole = importing.read_table(features)
    parts = dict(zip(splits.SPLITS, (np.arange(0, 48, 2), np.arange(1, 48, 4), np.arange(3, 48, 4))))
    folder = features.parent / "run" / "vectors"
    folder.mkdir(parents=True)
    for split, rows in parts.items():
        stored_tables.write_table(folder / f"{split}.parquet", whole.take(rows), np.full(len(rows), split))
    (folder / "stage.json").write_text(json.dumps({"classes": whole.classes.record, "inputs": {}}))
    monkeypatch.setattr(rundir, "is_done", lambda *_: True)
    monkeypatch.setattr(rundir, "find", lambda *_: rundir.Found(folder, {"classes": whole.classes.record}, "0"))
    evaluate_features.run(config(features, features="", trainings=2, classifiers=("ridge",)))
    table = pd.read_csv(features.parent / "run" / "study" / "predictions.csv")
    assert set(table["patient"]) == set(whole.patients[parts["test"]])
    assert set(zip(table["plan"], table["seed"])) == {("hold-out", 0), ("hold-out", 1)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": ""}, "--features is empty, and there are no features for --classifiers=ridge,neighbours"),
        ({"classifiers": ("cnn",)}, "--classifiers=cnn: none is of vectors"),
        ({"arms": ("gaussian",)}, "--arms=gaussian: none to compare generated features with"),
        ({"arms": ("smoat",)}, "--arms"),
        ({"arm_amounts": ("many",)}, "--arm_amounts=many"),
        ({"arms": ("none", "covariates")}, "--arms: covariates has nothing to learn from"),
        ({"arms": ("none", "acgan")}, "--arms: acgan has nothing to learn from; study the features of a run, without"),
        ({"arms": ("none", "synthetic")}, "--arms: synthetic has nothing to learn from; give --synthetic, or leave it"),
        ({"features": "", "synthetic": "nowhere.csv"}, "--synthetic=nowhere.csv without --features"),
        ({"synthetic": "nowhere.csv", "plan": "split"}, "nowhere.csv|split"),
        ({"synthetic": "other.csv"}, "may have seen patients who are tested"),
        ({"cv_folds": 19}, "--cv_folds=19: class malignant has 18"),
    ],
)
def test_what_cannot_be_done_is_said(features, changes, message):
    with pytest.raises(InputError, match=message):
        evaluate_features.run(config(features, **changes))
    assert not (features.parent / "run" / "study").exists()
