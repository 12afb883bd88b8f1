"""A study of a table, its final model, and what that says of other patients: from the commands' files alone."""

import dataclasses
import json
import re

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.stages import evaluate_features, evaluate_final_model, fit_final_model, predict
from tests import markers

NAME = "Wqz-Osgood "  # of patients, with a number


def table(n, seed, prefix):
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(random.normal(size=(n, 4)), columns=[f"f{number}" for number in range(4)])
    malignant = np.arange(n) % 3 == 0
    frame["f0"] += 2.5 * malignant
    frame.loc[::5, "f1"] = np.nan
    frame.insert(0, "patient", [f"{prefix}{number}" for number in range(n)])
    frame.insert(1, "label", np.where(malignant, "malignant", "benign"))
    frame["age"] = random.integers(30, 80, n)
    frame["sex"] = np.where(random.random(n) < 0.5, "F", "M")
    return frame


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    table(48, 0, NAME).to_csv(folder / "radiomics.csv", index=False)
    evaluate_features.run(
        evaluate_features.Config(
            run_dir=str(folder / "run"),
            features=str(folder / "radiomics.csv"),
            pseudonymise=True,
            pseudonym_key=str(folder / "key"),
            covariates=("age", "sex"),
            cv_folds=3,
            trainings=1,
            validation_fraction=0.25,
            arms=("none", "smote", "features_and_covariates"),
            arm_amounts=("0",),
            classifiers=("ridge",),
            bootstrap_draws=100,
        )
    )
    fit_final_model.run(fit_final_model.Config(str(folder / "run"), bootstrap_draws=100))
    return folder


def test_no_id_is_in_what_the_study_and_the_model_leave(study):
    words = (NAME.strip(),)
    assert not markers.found(study / "run", words)
    (path,) = {path for path, _ in markers.found(study, words) if "run" not in path.relative_to(study).parts[0]}
    assert path.name == "radiomics.csv"
    assert re.search(r",P[a-z]{12},", (study / "run/study/predictions.csv").read_text())
    assert json.loads((study / "run/final/model.json").read_text())["pseudonyms"]


def test_the_model_is_of_the_lowest_validation_loss(study):
    record = json.loads((study / "run/final/model.json").read_text())
    tasks = json.loads((study / "run/study/stage.json").read_text())["figures"]["choices"]
    names = tasks[0]["pipelines"]
    assert record["pipeline"] == min(names, key=lambda name: sum(one["pipelines"][name]["loss"] for one in tasks))
    assert record["trained_on"]["patients"] == {"benign": 32, "malignant": 16}
    assert set(record["expected_performance"]) == {"pipeline", "procedure"}
    assert record["expected_performance"]["pipeline"]["n"] == {"benign": 32, "malignant": 16}
    assert "no test patient" in record["choice"]["rule"]


@pytest.mark.parametrize("name", ["ridge/none", "ridge/features_and_covariates"])
def test_new_patients_and_another_cohort(study, name, capsys):
    run = study / name.replace("/", "_")
    run.mkdir()
    (run / "study").symlink_to(study / "run/study")
    fit_final_model.run(fit_final_model.Config(str(run), final_pipeline=name, bootstrap_draws=100))
    model = run / "final"
    others = table(60, 1, "q")
    others[[*others.columns[::-1]]].drop(columns="label").to_csv(study / "new.csv", index=False)
    result = run / "result.csv"
    predict.run(predict.Config(str(model), features=str(study / "new.csv"), result=str(result)))
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.split(":")[0] in set(others["patient"])
    written = pd.read_csv(result, float_precision="round_trip")
    (threshold,) = set(written["threshold"])
    assert threshold == json.loads((model / "model.json").read_text())["thresholds"][1]
    assert ((written["p_malignant"] > threshold) == (written["class"] == "malignant")).all()
    assert line.endswith(f" (threshold of malignant {threshold:.3f})")
    assert written["unit"].value_counts().to_dict() == {"sample": 60, "patient": 60}
    assert (written["class"][:60] == others["label"]).mean() > 0.75
    loaded = tf.saved_model.load(str(model / "classifier")).signatures["classify"]
    assert loaded.structured_input_signature[1]["feature"].shape[1] == (4 if name == "ridge/none" else 7)

    others.to_csv(study / "other.csv", index=False)
    config = evaluate_final_model.Config(
        str(run), str(model), test_features=str(study / "other.csv"), bootstrap_draws=100
    )
    evaluate_final_model.run(config)
    folder = run / "external"
    report = json.loads((folder / "report.json").read_text())
    row = report["arms"][0]
    assert row["n"] == {"benign": 40, "malignant": 20}
    low, high = row["ci95"]["auroc"]
    assert 0.8 < low < row["auroc"] < high <= 1.0
    last = capsys.readouterr().out.splitlines()[-1]
    assert (
        last
        == f"AUROC {row['auroc']:.2f} (95% interval {low:.2f} to {high:.2f}); 60 patients (benign: 40, malignant: 20)"
    )
    page = (folder / "index.html").read_text()
    assert "the final model on another cohort" in page
    assert "expected, pipeline" in page
    assert len(pd.read_csv(folder / "predictions.csv")) == 60


@pytest.mark.parametrize("flag", [False, True])
def test_deterministic_is_there_before_anything_is_fitted(study, tmp_path, monkeypatch, flag):
    done, fit = [], fit_final_model.final_model.fit
    monkeypatch.setattr(tf.config.experimental, "enable_op_determinism", lambda: done.append("deterministic"))
    monkeypatch.setattr(
        fit_final_model.final_model, "fit", lambda *args, **kwargs: done.append("fit") or fit(*args, **kwargs)
    )
    (tmp_path / "study").symlink_to(study / "run/study")
    config = fit_final_model.Config(str(tmp_path), bootstrap_draws=100, deterministic=flag)
    fit_final_model.run(config)
    assert done == ["deterministic"] * flag + ["fit"]
    fit_final_model.run(dataclasses.replace(config, deterministic=not flag))  # which asks for no other model
    assert done.count("fit") == 1


def test_samples_that_were_made_elsewhere(tmp_path):
    real = table(40, 3, "p").drop(columns=["age", "sex"])
    real["split"] = np.tile(["train", "train", "validation", "test"], 10)
    real.to_csv(tmp_path / "real.csv", index=False)
    table(60, 4, "s")[["label", "f0", "f1", "f2", "f3"]].to_csv(tmp_path / "made.csv", index=False)
    evaluate_features.run(
        evaluate_features.Config(
            run_dir=str(tmp_path / "run"),
            features=str(tmp_path / "real.csv"),
            synthetic=str(tmp_path / "made.csv"),
            plan="split",
            trainings=1,
            arms=("none", "synthetic"),
            arm_amounts=("0",),
            classifiers=("ridge",),
            bootstrap_draws=100,
        )
    )
    fit_final_model.run(fit_final_model.Config(str(tmp_path / "run"), "ridge/synthetic/0", bootstrap_draws=100))
    record = json.loads((tmp_path / "run/final/model.json").read_text())
    assert record["threshold_patients"] == 20  # from whom the generator did not learn
    trained = record["trained_on"]
    assert trained["samples"] == {"benign": 26, "malignant": 14}
    assert trained["with_added_samples"] == {"benign": 26, "malignant": 26}
    (tmp_path / "made.csv").write_text((tmp_path / "made.csv").read_text() + "benign,1,1,1,1\n")
    (tmp_path / "run/final").rename(tmp_path / "before")
    with pytest.raises(InputError, match="--synthetic=.*made.csv is not the file that the study was made of"):
        fit_final_model.run(fit_final_model.Config(str(tmp_path / "run"), "ridge/synthetic/0", bootstrap_draws=100))


def test_what_cannot_be_done_is_said(study, tmp_path, caplog):
    model = str(study / "run/final")
    same = {"test_features": str(study / "radiomics.csv"), "pseudonymise": True}
    with pytest.raises(InputError, match="radiomics.csv has 48 patients whose id or group was in the study") as caught:
        evaluate_final_model.run(
            evaluate_final_model.Config(str(tmp_path), model, **same, pseudonym_key=str(study / "key"))
        )
    assert NAME not in str(caught.value)
    for changes in ({**same, "pseudonym_key": str(tmp_path / "keys" / "other")}, {**same, "pseudonymise": False}):
        with pytest.raises(InputError, match="48 patients with all values of a sample that was"):
            evaluate_final_model.run(evaluate_final_model.Config(str(tmp_path / "y"), model, **changes))
        assert caplog.messages[-1].startswith("--pseudonymise, --pseudonym_key: the study had pseudonyms by a key that")
        caplog.clear()
    with pytest.raises(InputError, match="there is no model.json in it; give the final/ folder"):
        predict.run(predict.Config(str(tmp_path), features=str(study / "radiomics.csv")))
    with pytest.raises(InputError, match="give --image and --mask .*, or else --features"):
        predict.run(predict.Config(model))
    with pytest.raises(InputError, match="no finished study in it; run"):
        fit_final_model.run(fit_final_model.Config(str(tmp_path)))
    changed = tmp_path / "changed.csv"
    table(48, 2, "p").to_csv(changed, index=False)
    (tmp_path / "run").mkdir()
    (tmp_path / "run/study").symlink_to(study / "run/study")
    with pytest.raises(InputError, match=r"--study_features=.*changed.csv is not the file that the study was made of"):
        fit_final_model.run(fit_final_model.Config(str(tmp_path / "run"), study_features=str(changed)))
    assert not (tmp_path / "run/final").exists()
    assert not (tmp_path / "external").exists()
