"""A study of patient vectors: crossvalidate --classifiers=ridge, from volumes to its report.

Its patients have names, in their files, headers and table, that --pseudonymise keeps out of all that the study leaves.
"""

import json
import re

import pandas as pd
import pytest

from rembrandt_featgen.cohort import phantom, pseudonyms
from rembrandt_featgen.core import json_files
from rembrandt_featgen.estimates import trial_runs
from rembrandt_featgen.evaluation import study_folds
from rembrandt_featgen.stages import crossvalidate, pipeline
from tests import markers

ARMS = ("none", "covariates", "features_and_covariates", "smote", "gaussian", "image_augmentation")
SETTINGS = {
    "image_size": 48,
    "unet_width": 2,
    "unet_epochs": 1,
    "cv_folds": 2,
    "cv_seeds": 1,
    "trainings": 1,
    "validation_fraction": 0.4,
    "vectors": "numbers",
    "vector_augmentations": 1,
    "arms": ARMS,
    "classifiers": ("ridge",),
    "arm_amounts": ("0",),
    "bootstrap_draws": 50,
}
ID, FAMILY, OTHERS = "Wqz-Osgood", "Trevelyan-Kemp", ("1948-02-29", "Sister Featherstonehaugh")  # of the patients
# Columns of the manifest that have other names than usual, and what a study is to make of them.
COLUMNS = {"label_column": "kind", "group_column": "family", "site_column": "hospital", "covariates": ("age", "site")}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    """The manifest of 16 phantoms at two hospitals; two of each class are a family; the first one's age is missing."""
    cohort = phantom.write_phantom(tmp_path_factory.mktemp("cohort") / "a", {"LGG": 8, "HGG": 8}, size=48, slices=3)
    folders = sorted(cohort.glob("*/*/"))
    rows = pd.DataFrame({"patient": [f"{ID}-{number:02d} Fenn" for number in range(16)]})
    rows["kind"] = [float(path.parent.name == "HGG") for path in folders]
    for name, ending in (("flair", "flair"), ("mask", "seg")):
        sources = [next(path.glob(f"*_{ending}.nii.gz")) for path in folders]
        targets = [cohort / f"{patient}_{ending}.nii.gz" for patient in rows["patient"]]
        rows[name] = [str(markers.plant_nifti(*pair)) for pair in zip(sources, targets)]
    rows["family"] = [f"{FAMILY} {number - (number in (1, 9))}" for number in range(16)]
    rows["hospital"] = [number // 2 % 2 + 1 for number in range(16)]
    rows["age"] = [None, *range(41, 56)]
    rows["born"], rows["nurse"] = OTHERS
    rows.to_csv(cohort / "cohort.csv", index=False)
    return cohort / "cohort.csv"


@pytest.fixture(scope="module")
def study(manifest, tmp_path_factory):
    """A study of them."""
    run_dir = tmp_path_factory.mktemp("study")
    named = {"pseudonymise": True, "pseudonym_key": str(manifest.parent / "key")}
    crossvalidate.run(crossvalidate.Config(run_dir=str(run_dir), cohort=str(manifest), **SETTINGS, **COLUMNS, **named))
    return run_dir


def test_no_name_of_a_header_a_column_or_a_file_is_left(study, manifest):
    words = (*markers.WORDS, ID, FAMILY, *OTHERS)
    hits = markers.found(study, words)
    assert not hits
    assert {word for _, word in markers.found(manifest.parent, words)} == set(words)  # all of them were there
    known = json_files.read_json(study / "cohort_report" / "report.json")["patients"]
    assert len(known) == 16


def test_no_name_is_in_what_a_trial_has_meanwhile(manifest, tmp_path, monkeypatch, capsys):
    found, tried = [], trial_runs.run

    def run(*given, **named):
        trial = tried(*given, **named)
        assert [*trial.run_dir.glob("slices/*")]
        found.extend(markers.found(trial.run_dir, (*markers.WORDS, ID, FAMILY, *OTHERS)))
        return trial

    monkeypatch.setattr(trial_runs, "run", run)
    names = {name: value for name, value in COLUMNS.items() if name != "covariates"}
    few = {"last_stage": "prepare_slices", "image_size": 32, "unet_batch": 2, "extract_batch": 2}
    named = {"pseudonymise": True, "pseudonym_key": str(manifest.parent / "key")}
    pipeline.estimate(pipeline.Config(run_dir=str(tmp_path / "run"), cohort=str(manifest), **few, **names, **named))
    assert capsys.readouterr().out.count("prepare_slices") == 1 and not found


def test_folds_of_vectors_become_a_report(study):
    report = json.loads((study / "report" / "report.json").read_text())
    assert {row["arm"] for row in report["arms"] if row["unit"] == "patient"} == set(ARMS)
    assert report["segmentation"]["test"]["volumes"]["dice"]["volumes"] > 0
    table = pd.read_csv(study / "report" / "predictions.csv")
    assert set(table["plan"]) == {"k-fold"} and set(table["fold"]) == {"fold0", "fold1"}
    assert table[table["arm"] == "none"]["patient"].nunique() == 16
    assert not any(study.rglob("generator_*"))
    stores = list(study.rglob("volumes*.tfrecord"))
    assert [path.parent for path in stores] == [study / "shared_slices"]  # one copy for both folds


def test_columns_of_the_manifest_reach_the_report(study, manifest):
    report = json_files.read_json(study / "report" / "report.json")
    assert (report["classes"]["names"], report["cohort"]["groups"]) == (["0", "1"], 14)
    assert report["cohort"]["sites"] == {"1": 8, "2": 8}
    assert "no split divides: 14." in (study / "report" / "index.html").read_text()
    table = pd.read_csv(study / "report" / "predictions.csv", dtype=str)
    names = pseudonyms.read(str(manifest.parent / "key"), str(study))
    known = pd.read_csv(manifest, dtype=str)
    known["patient"], known["family"] = known["patient"].map(names.of), known["family"].map(names.of)
    for name, column in (("group", "family"), ("site", "hospital")):
        assert table[name].tolist() == known.set_index("patient").loc[table["patient"], column].tolist()
    imputed = 0
    for fold in (study / "fold_runs").iterdir():
        prepared = json_files.read_json(fold / "study" / "stage.json")["figures"]["choices"][0]["preparation"]
        assert prepared["covariates"]["numbers"] == 3  # age, site=1, site=2
        assert prepared["both"]["numbers"] == prepared["features"]["numbers"] + 3
        imputed += prepared["covariates"]["imputed"]
    assert imputed in (0, 1)  # of the training patients alone


def test_a_group_on_two_sides_of_a_fold_stops_the_report(study):
    record = json_files.read_json(study / "folds" / "stage.json")
    entry = record["figures"]["folds"][0]
    folder = study / "fold_runs" / entry["name"]
    assert study_folds.read_fold(folder, entry, plan="k-fold", draw=0).fold == "fold0"
    for grouping, plan in (("patient", "k-fold"), ("site", "sites")):
        record["config"]["cv_grouping"] = grouping
        assert set(study_folds.read_folds(study, record)[0].predictions.plan) == {plan}
    record["figures"]["fresh_patients"] = 3
    assert set(study_folds.read_folds(study, record)[0].predictions.plan) == {"fresh"}
    known = folder / "slices" / "patients.csv"
    known.write_text(re.sub(",P[a-z]{12},", ",family,", known.read_text()))
    with pytest.raises(RuntimeError, match="group family is in two splits"):
        study_folds.read_fold(folder, entry, plan="k-fold", draw=0)
