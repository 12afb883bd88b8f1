import json
import shutil

import numpy as np
import pytest

from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import few_shot_report, predictions
from rembrandt_featgen.stages import fewshot
from tests.stages import vector_files


@pytest.fixture
def features(tmp_path):
    return vector_files.write(tmp_path, {"benign": 40, "malignant": 20}, 1.5)


def config(path, **changes):
    settings = {
        "run_dir": str(path.parent / "run"),
        "features": str(path),
        "shots": ("5", "3"),
        "draws": 6,
        "test_fraction": 0.4,
        "few_shot_arms": ("none", "smote", "gaussian", "flow", "oracle"),
        "few_shot_classifiers": ("ridge",),
        "fixed_strengths": ("ridge@0.3",),
        "bootstrap_draws": 100,
    }
    return fewshot.Config(**{**settings, **changes})


def test_a_killed_study_goes_on_to_the_same_report(features, tmp_path, monkeypatch):
    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(few_shot_report, "few_shot_report", killed)
        fewshot.run(config(features))
    work = tmp_path / "run" / "fewshot.part" / "checkpoints"
    assert len(list(work.glob("*/*.json"))) == 12
    shutil.rmtree(work / "5")  # as if it had been killed before
    fewshot.run(config(features))
    folder = tmp_path / "run" / "fewshot"
    report = json.loads((folder / "report.json").read_text())
    assert report["cut"] == "malignant" and report["shots"] == [3, 5] and report["reserve"] == 5
    rows = {(row["shots"], row["arm"]): row for row in report["rows"]}
    assert set(rows) == {(shots, arm) for shots in (3, 5) for arm in config(features).few_shot_arms}
    assert rows[3, "none"].get("difference") is None and 0.6 < rows[5, "oracle"]["auroc"] < 1
    table = predictions.read(folder / "predictions_3.csv")
    assert set(table.draw.tolist()) == set(range(6)) and set(table.arm) == set(config(features).few_shot_arms)
    text = (folder / "index.html").read_text(encoding="utf-8")
    assert "malignant" in text and 'href="predictions_3.csv"' in text and (folder / "few_shot_curves.csv").is_file()
    whole = config(features, run_dir=str(tmp_path / "whole"))
    fewshot.run(whole)
    again = json.loads((tmp_path / "whole" / "fewshot" / "report.json").read_text())
    assert again["rows"] == report["rows"] and again["verdict"] == report["verdict"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": ""}, "--features is missing"),
        ({"shots": ("3", "x")}, "--shots=3,x: write whole numbers"),
        ({"shots": ("1",)}, "--shots=1: two patients or more"),
        ({"shots": ("3", "11")}, "class malignant has 20 groups .* take --shots up to 10"),
        ({"few_shot_arms": ("smote",)}, "--few_shot_arms=smote: add none"),
        ({"few_shot_arms": ("none", "nothing")}, "nothing"),
        (
            {"few_shot_classifiers": ("tree",)},
            "--few_shot_classifiers=tree: 'tree' is none of ridge, mlp, neighbours .of vectors",
        ),
        ({"fixed_strengths": ("mlp@1",)}, "--fixed_strengths=mlp@1: with 3 groups .* in --few_shot_classifiers"),
        ({"few_shot_amounts": ("abc",)}, "--few_shot_amounts=abc: write numbers"),
        ({"fixed_strengths": ("ridge",)}, "--fixed_strengths=ridge: ridge has no strength; give one, such as ridge@10"),
        ({"fixed_strengths": ("ridge@1", "ridge@2")}, "ridge has two strengths"),
        ({"few_shot_classifiers": ("cnn",)}, "--few_shot_classifiers=cnn: cnn is of maps"),
        ({"few_shot_arms": ("none", "acgan")}, "acgan"),
        ({"few_shot_arms": ("none", "covariates")}, "covariates needs clinical columns; give --covariates"),
        ({"cut_class": "cyst"}, "--cut_class=cyst is none of the classes benign, malignant; name one of these"),
    ],
)
def test_what_cannot_be_studied_is_one_line(features, changes, message):
    with pytest.raises(InputError, match=message):
        fewshot.run(config(features, **changes))
    assert not (features.parent / "run" / "fewshot").exists()


def test_maps_are_refused(tmp_path):
    table = {"patient": [f"p{n}" for n in range(40)], "label": np.repeat(["benign", "malignant"], 20)}
    np.savez(tmp_path / "maps.npz", features=np.zeros((40, 2, 2, 3), np.float32), **table)
    with pytest.raises(InputError, match="maps.npz holds maps; a few-shot study is of vectors"):
        fewshot.run(config(tmp_path / "maps.npz"))


def test_real_patients_are_left_out_where_none_are_in_reserve(features, caplog):
    fewshot.run(config(features, shots=("10",), draws=2, few_shot_arms=("none", "gaussian", "oracle")))
    report = json.loads((features.parent / "run" / "fewshot" / "report.json").read_text())
    assert {row["arm"] for row in report["rows"]} == {"none", "gaussian"} and report["reserve"] == 0
    assert "the arm oracle is left out: of class malignant no group is left" in caplog.text


def test_another_class_can_be_cut(features):
    fewshot.run(
        config(features, cut_class="benign", shots=("3",), draws=2, few_shot_arms=("none", "smote", "gaussian"))
    )
    report = json.loads((features.parent / "run" / "fewshot" / "report.json").read_text())
    assert report["cut"] == "benign" and report["shots"] == [3]
