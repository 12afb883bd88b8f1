"""The final model of a study of volumes, from its folds to the patients of another cohort."""

import dataclasses
import json
import logging
import shutil
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from rembrandt_featgen.cohort import phantom
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.cohort.layouts import find_cohort
from rembrandt_featgen.cohort.volumes import read_volume
from rembrandt_featgen.core import json_files, registry
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import final_choice, final_study, model_folder
from rembrandt_featgen.features import patient_vectors, run_tables, stored_tables, volume_vectors
from rembrandt_featgen.features.tables import table_of_arrays
from rembrandt_featgen.segmentation import exported_unet
from rembrandt_featgen.stages import (
    assign_folds,
    evaluate_features,
    evaluate_final_model,
    extract_features,
    extract_vectors,
    fit_final_model,
    predict,
    prepare_slices,
    train_unet,
)
from tools import worker_processes

TAPS = ("conv1", "conv5")


def finished(home, name, config, **record):
    """A stage's record, as if it were done."""
    folder = Path(home) / registry.folder(name)
    folder.mkdir()
    json_files.write_json(folder / "stage.json", {"config": dataclasses.asdict(config), "inputs": {}, **record})
    return folder


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study of one fold, whose vectors are drawn at random; its final model, and another cohort."""
    folder = tmp_path_factory.mktemp("volumes")
    cohort = phantom.write_phantom(folder / "cohort", {"LGG": 6, "HGG": 6}, size=32, slices=3)
    phantom.write_phantom(folder / "other", {"LGG": 4, "HGG": 4}, size=32, slices=3, seed=7)
    run = folder / "run"
    common = {"cohort": str(cohort), "validation_fraction": 0.34}
    assign_folds.run(assign_folds.Config(str(run), **common, cv_folds=2, cv_seeds=1))
    record = json_files.read_json(run / "folds/stage.json")
    record["figures"]["folds"] = record["figures"]["folds"][:1]  # one fold will do
    json_files.write_json(run / "folds/stage.json", record)
    name = record["figures"]["folds"][0]["name"]
    home = str(run / "fold_runs" / name)
    split = json.loads((run / "folds" / f"{name}.json").read_text())
    prepare_slices.run(
        prepare_slices.Config(home, **common, image_size=32, split_file=str(run / "folds" / f"{name}.json"))
    )
    finished(
        home,
        "train_unet",
        train_unet.Config(
            home, unet_width=2, unet_epochs=1, unet_warmup_steps=0, augment=False, largest_component=True
        ),
    )
    vectors = finished(
        home, "extract_vectors", extract_vectors.Config(home, vector_taps=TAPS), classes=record["classes"]
    )
    for part, members in split.items():
        names = [(patient, label) for label in ("LGG", "HGG") for patient in members[label]]
        table = table_of_arrays(
            np.random.default_rng(len(names)).normal(size=(len(names), 3)),
            [int(label == "HGG") for _, label in names],
            classes=Classes.of(("LGG", "HGG")),
            patients=[patient for patient, _ in names],
        )
        stored_tables.write_table(vectors / f"{part}.parquet", table, np.full(len(table), part))
    evaluate_features.run(
        evaluate_features.Config(
            home,
            arms=("none",),
            classifiers=("ridge",),
            trainings=1,
            inner_folds=2,
            components=3,
            bootstrap_draws=100,
        )
    )
    fit_final_model.run(fit_final_model.Config(str(run), bootstrap_draws=100))
    return folder


def test_it_is_fitted_on_all_patients(study, capsys):
    record = json.loads((study / "run/final/model.json").read_text())
    assert record["trained_on"]["patients"] == {"LGG": 6, "HGG": 6}
    assert record["pipeline"] == "ridge/none"
    assert record["expected_performance"]["procedure"]["n"] == {"LGG": 3, "HGG": 3}  # of the one fold
    assert 2 <= record["threshold_patients"] <= 4  # whom the U-Net did not learn from
    split = json.loads((study / "run/final_run/slices/split.json").read_text())
    assert {name: sum(map(len, part.values())) for name, part in split.items()} == {
        "train": 8,
        "validation": 4,
        "test": 0,
    }
    before = (study / "run/final/model.json").stat().st_mtime_ns
    fit_final_model.run(fit_final_model.Config(str(study / "run"), bootstrap_draws=100))
    assert (study / "run/final/model.json").stat().st_mtime_ns == before
    assert capsys.readouterr().out.splitlines()[-1].startswith("final model: ridge/none in ")


def test_deterministic_is_of_each_stage_that_trains_on_all(study, tmp_path, monkeypatch):
    given = {}
    monkeypatch.setattr(prepare_slices, "run", lambda config: None)
    for module in (train_unet, extract_vectors):
        monkeypatch.setattr(module, "run", lambda config, name=module.__name__: given.update({name: config}))
    done = final_study.read(str(study / "run"))
    choice = final_choice.choose(done.choices, "", of_volumes=True)
    for flag in (False, True):
        fit_final_model._train_on_all(done, choice, tmp_path / "final_run", deterministic=flag)
        assert [config.deterministic for config in given.values()] == [flag, flag]


def patients(study, cohort):
    return find_cohort(study / cohort).patients


def renamed(study, cohort):
    """A manifest of the patients of a cohort under other names, whose masks nobody drew."""
    rows = [
        {"patient": f"other_{one.id}", "label": one.label, "flair": one.images["flair"]}
        for one in patients(study, cohort)
    ]
    path = study / f"renamed_{cohort}.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return str(path), rows


def test_a_volume_that_was_just_read_has_the_vector_of_its_slices_on_disk(study):
    table = run_tables.table_of_run(study / "run/final_run", "extract_vectors", "validation")
    model, unet = model_folder.read(study / "run/final"), exported_unet.load(study / "run/final")
    settings = model.vectors(batch=2)
    assert settings.largest_component
    images = {one.id: one.images["flair"] for one in patients(study, "cohort")}
    for row, patient in enumerate(table.patients.tolist()):
        volumes = [read_volume(images[patient])]
        vector = volume_vectors.vector_of(unet, volumes, settings, shown=False)
        np.testing.assert_allclose(model.values_of(vector.numbers)[0], table.values[row], rtol=1e-3, atol=1e-4)


def test_a_new_patient_gets_a_mask_and_a_class(study, tmp_path, capsys):
    image = str(patients(study, "other")[0].images["flair"])
    result = predict.run(
        predict.Config(str(study / "run/final"), (image,), str(tmp_path / "mask.nii.gz"), overwrite=True)
    )
    assert result["label"] in ("LGG", "HGG")
    assert sum(result["probability"].values()) == pytest.approx(1)
    mask = nib.load(tmp_path / "mask.nii.gz").get_fdata()
    assert mask.sum() == result["tumour_voxels"]
    assert "of the vector of the predicted tumour" in capsys.readouterr().out


def test_a_volume_without_a_tumour_and_a_table_for_a_model_of_volumes(study, tmp_path, monkeypatch, capsys):
    image, model = str(patients(study, "other")[0].images["flair"]), str(study / "run/final")
    mask_of = exported_unet.postprocessing.mask_of
    for module in (exported_unet, patient_vectors):
        monkeypatch.setattr(module.postprocessing, "mask_of", lambda p, largest: np.zeros_like(mask_of(p, largest)))
    result = predict.run(predict.Config(model, (image,), str(tmp_path / "mask.nii.gz")))
    assert result["warnings"][-1] == "no tumour was found; the class rests on missing values"
    assert capsys.readouterr().out.endswith(f"; {result['warnings'][-1]}\n")
    (tmp_path / "a.csv").write_text("patient,channel_0\na,1\n")
    with pytest.raises(InputError, match="lacks .* add them, or, as the model is of volumes, give --image and --mask"):
        predict.run(predict.Config(model, features=str(tmp_path / "a.csv")))


def test_another_cohort(study, capsys, caplog):
    manifest, rows = renamed(study, "other")
    config = evaluate_final_model.Config(
        str(study / "external"),
        str(study / "run/final"),
        test_cohort=manifest,
        bootstrap_draws=100,
        strategy="mirrored",  # as a flagfile of the whole study may say
    )
    with caplog.at_level(logging.INFO, logger="absl"):
        evaluate_final_model.run(config)
    assert "--strategy=mirrored: an exported model runs on one device, as with one" in caplog.text
    report = json.loads((study / "external/external/report.json").read_text())
    row = report["arms"][0]
    assert row["n"] == {"LGG": 4, "HGG": 4}
    assert "; 8 patients (LGG: 4, HGG: 4)" in capsys.readouterr().out.splitlines()[-1]
    predicted = pd.read_csv(study / "external/external/predictions.csv").set_index("patient")
    assert not list((study / "external/external").rglob("*.jsonl"))
    image = str(rows[0]["flair"])
    one = predict.run(predict.Config(str(study / "run/final"), (image,), str(study / "one.nii.gz"), overwrite=True))
    assert predicted.loc[rows[0]["patient"], "p_HGG"] == pytest.approx(one["probability"]["HGG"], abs=1e-6)


def test_two_workers_write_the_bytes_of_one(study, tmp_path):
    """Two processes that read, segment and classify the patients of the cohort, each some of them."""
    (manifest, _), model = renamed(study, "other"), str(study / "run/final")
    flags = {"model_dir": model, "test_cohort": manifest, "bootstrap_draws": 100}
    evaluate_final_model.run(evaluate_final_model.Config(str(study / "external"), **flags))  # perhaps done before
    command = [sys.executable, "-m", evaluate_final_model.__name__, f"--run_dir={tmp_path}", "--strategy=multi_worker"]
    command += [f"--{name}={value}" for name, value in flags.items()]
    workers = worker_processes.start([command] * 2, tmp_path / "log")
    try:
        codes = worker_processes.ended(workers, timeout=400)
    finally:
        worker_processes.kill(workers)
    logs = [worker_processes.log_of(tmp_path / "log", number).read_text() for number in range(2)]
    assert codes == [0, 0], "\n".join(log[-3000:] for log in logs)
    assert all("4/4" in log for log in logs)  # patients
    of_two, of_one = tmp_path / "external", study / "external/external"
    assert (of_two / "predictions.csv").read_bytes() == (of_one / "predictions.csv").read_bytes()
    reports = [json_files.read_json(folder / "report.json") for folder in (of_two, of_one)]
    for report in reports:
        del report["settings"]  # in which paths may be written otherwise
    assert reports[0] == reports[1]


@pytest.fixture
def of_maps(study, monkeypatch):
    """The final model of the same study, had it been of maps and chosen the linear classifier."""
    whole = final_study.read(str(study / "run"))
    names = [choice["pipelines"] for choice in whole.choices]
    features = extract_features.Config("", tap="conv2")
    monkeypatch.setattr(
        final_study,
        "read",
        lambda _: dataclasses.replace(
            whole,
            choices=[{"pipelines": {"linear/plain": one["ridge/none"]}} for one in names],
            predictions=whole.predictions.replace(classifier="linear", arm="plain"),
            settings={**whole.settings, "classifier_epochs": 2},
            stages={**whole.stages, "extract_features": dataclasses.asdict(features)},
        ),
    )
    (study / "run/final").rename(study / "of_vectors")
    fit_final_model.run(fit_final_model.Config(str(study / "run"), bootstrap_draws=100))
    (study / "run/final").rename(study / "of_maps")
    (study / "of_vectors").rename(study / "run/final")
    return study / "of_maps"


def test_a_model_of_maps(study, of_maps):
    record = json.loads((of_maps / "model.json").read_text())
    assert (record["pipeline"], record["maps"]["tap"]) == ("linear/plain", "conv2")
    assert record["trained_on"]["samples"] == {"LGG": 18, "HGG": 18}  # slices
    manifest, rows = renamed(study, "other")
    evaluate_final_model.run(
        evaluate_final_model.Config(str(study / "maps"), str(of_maps), test_cohort=manifest, bootstrap_draws=100)
    )
    slices = pd.read_csv(study / "maps/external/predictions.csv")
    assert len(slices) == 8 * 3
    one = predict.run(
        predict.Config(str(of_maps), (str(rows[0]["flair"]),), str(study / "maps.nii.gz"), overwrite=True)
    )
    assert one["probability_by_slice"]["HGG"] == pytest.approx(
        slices[slices["patient"] == rows[0]["patient"]]["p_HGG"].tolist(), abs=1e-6
    )
    with pytest.raises(InputError, match=r"--features=a.csv: the model .* is of volumes \(flair\); give --image and"):
        predict.run(predict.Config(str(of_maps), features="a.csv"))


def test_patients_of_the_study_are_refused(study, tmp_path):
    model = str(study / "run/final")
    with pytest.raises(InputError, match="--test_cohort=.* has 12 patients whose id or group was in the study"):
        evaluate_final_model.run(evaluate_final_model.Config(str(tmp_path), model, test_cohort=str(study / "cohort")))
    manifest, rows = renamed(study, "cohort")
    with pytest.raises(InputError, match=f"the volume of {rows[0]['patient']} is in the study that made the model"):
        evaluate_final_model.run(evaluate_final_model.Config(str(tmp_path), model, test_cohort=manifest))
    with pytest.raises(InputError, match="give --test_features, .*, or else --test_cohort"):
        evaluate_final_model.run(evaluate_final_model.Config(str(tmp_path), model))


def test_a_study_of_volumes_has_no_file(study):
    with pytest.raises(InputError, match="--study_features=a.csv: this study is of volumes"):
        fit_final_model.run(fit_final_model.Config(str(study / "run"), study_features="a.csv"))


def test_a_cohort_that_has_changed_since_the_study_is_refused(study, tmp_path):
    shutil.copytree(study / "run", tmp_path / "run", ignore=shutil.ignore_patterns("final", "final_run"))
    mask = patients(study, "cohort")[0].mask
    before = mask.read_bytes()
    try:
        mask.write_bytes(before + b"more")
        with pytest.raises(InputError, match="files or labels of --cohort=.*cohort have changed since the study"):
            fit_final_model.run(fit_final_model.Config(str(tmp_path / "run"), bootstrap_draws=100))
    finally:
        mask.write_bytes(before)
    assert not (tmp_path / "run/final_run/slices").exists()


def test_folds_that_are_not_done_are_named(study, tmp_path):
    shutil.copytree(study / "run/folds", tmp_path / "run/folds")
    with pytest.raises(InputError, match="1 of 1 folds are not finished, such as repeat0_seed0_fold0"):
        fit_final_model.run(fit_final_model.Config(str(tmp_path / "run")))
