import csv
import json
import shutil
from unittest import mock

import numpy as np
import pytest

from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import few_shot_report, predictions, trials
from rembrandt_featgen.generation import gan_training
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
        ({"few_shot_classifiers": ("cnn",)}, "=cnn: cnn is of maps, and .*radiomics.csv holds vectors; take .* ridge"),
        ({"few_shot_arms": ("none", "acgan")}, "--few_shot_arms: acgan generates maps, and .* holds vectors; leave it"),
        ({"few_shot_arms": ("none", "image_acgan")}, "image_acgan"),  # of slices, which a table does not have
        ({"few_shot_arms": ("none", "covariates")}, "covariates needs clinical columns; give --covariates"),
        ({"cut_class": "cyst"}, "--cut_class=cyst is none of the classes benign, malignant; name one of these"),
    ],
)
def test_what_cannot_be_studied_is_one_line(features, changes, message):
    with pytest.raises(InputError, match=message):
        fewshot.run(config(features, **changes))
    assert not (features.parent / "run" / "fewshot").exists()


def test_a_finished_study_is_extended_by_draws_and_its_report_by_settings(features, tmp_path, monkeypatch):
    small = {"shots": ("3",), "few_shot_arms": ("none", "smote", "gaussian")}
    fewshot.run(config(features, draws=8, **small))
    folder, ran = tmp_path / "run" / "fewshot", []
    run = trials.run
    monkeypatch.setattr(trials, "run", lambda table, task, *a, **k: ran.append(task.draw) or run(table, task, *a, **k))
    fewshot.run(config(features, draws=9, **small))
    assert ran == [8]  # stretches of eight are whole
    report = json.loads((folder / "report.json").read_text())
    fewshot.run(config(features, draws=9, run_dir=str(tmp_path / "whole"), **small))
    whole = tmp_path / "whole" / "fewshot"
    assert (folder / "predictions_3.csv").read_bytes() == (whole / "predictions_3.csv").read_bytes()
    assert json.loads((whole / "report.json").read_text())["rows"] == report["rows"] and report["draws"] == 9
    ran.clear()
    fewshot.run(config(features, draws=9, margin=0.2, report_title="Of nine", **small))
    again = json.loads((folder / "report.json").read_text())
    assert not ran and again["margin"] == 0.2 and "Of nine" in (folder / "index.html").read_text(encoding="utf-8")
    assert [row["auroc"] for row in again["rows"]] == [row["auroc"] for row in report["rows"]]
    kept = (folder / "choices_3.json").read_text()
    (folder / "choices_3.json").unlink()
    with pytest.raises(InputError, match=r"choices_3\.json is missing or damaged"):
        fewshot.run(config(features, draws=9, margin=0.1, report_title="Of nine", **small))
    (folder / "choices_3.json").write_text(kept)
    fewshot.run(config(features, draws=9, margin=0.1, report_title="Of nine", **small))
    assert not ran
    for changes in ({"draws": 6}, {"draws": 9, "test_fraction": 0.3}):
        with pytest.raises(InputError, match="fewshot was made by other settings"):
            fewshot.run(config(features, margin=0.1, report_title="Of nine", **{**small, **changes}))


def test_what_is_named_twice_competes_once_and_errors_name_the_flag(features, caplog):
    twice = fewshot._checked(
        config(features, few_shot_arms=("none", "smote", "none"), few_shot_classifiers=("ridge", "ridge"))
    )
    assert twice.few_shot_arms == ("none", "smote") and twice.few_shot_classifiers == ("ridge",)
    assert "--few_shot_arms=none,smote: none generates, so there is no verdict" in caplog.text
    with pytest.raises(InputError, match="--few_shot_amounts=x: write numbers"):
        fewshot._gans(config(features, few_shot_amounts=("x",)))


@pytest.fixture
def maps(tmp_path):
    labels = np.repeat(["benign", "malignant"], [24, 14])
    values = np.abs(np.random.default_rng(0).normal(size=(38, 4, 4, 3))).astype(np.float32)
    values[..., 0] += 2 * (labels == "malignant")[:, None, None]
    names, split = [f"p{n}" for n in range(38)], ["train", "test"] * 19
    np.savez(tmp_path / "maps.npz", features=values, patient=names, label=labels, split=split, unet_dice=0.001)
    return tmp_path / "maps.npz"


OF_MAPS = {
    "shots": ("3",),
    "draws": 2,
    "oracle_groups": 1,
    "few_shot_arms": ("none", "mixup", "smote", "gaussian", "adcgan", "oracle", "shuffled"),
    "few_shot_classifiers": ("linear@1",),
    "few_shot_inner_folds": 2,
    "classifier_epochs": 20,
    "classifier_learning_rate": 1e-2,
    "gan_steps": 1,
    "ndf": 4,
    "ngf": 4,
}


def test_each_draw_trains_a_gan_of_maps(maps, tmp_path, monkeypatch, eager_gans, caplog):
    trained, gans, train = [], [], gan_training.train

    def once(features, labels, spec, **settings):
        """One GAN stands for all, to save time."""
        trained.append((len(features), spec.seed))
        gans[:] = gans or [train(features, labels, spec, **settings)]
        return gans[0]

    monkeypatch.setattr(gan_training, "train", once)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(few_shot_report, "few_shot_report", mock.Mock(side_effect=KeyboardInterrupt))
        fewshot.run(config(maps, **OF_MAPS))
    done = tmp_path / "run" / "fewshot.part" / "checkpoints" / "3"
    kept = {path.name: path.read_text() for path in done.glob("draw1*")}
    assert len(kept) == 2
    for name in kept:
        (done / name).unlink()  # as if it had been killed before
    fewshot.run(config(maps, **OF_MAPS))
    folder = tmp_path / "run" / "fewshot"
    report = json.loads((folder / "report.json").read_text())
    rows = {row["arm"]: row["auroc"] for row in report["rows"]}
    assert set(rows) == set(OF_MAPS["few_shot_arms"]) and rows["none"] > 0.8
    assert len(trained) == 3 and len(set(trained)) == 2 and {count for count, _ in trained} == {14 + 3}
    accepted = report["acceptance"]["3"]["adcgan"]
    page = (folder / "index.html").read_text(encoding="utf-8")
    trained_on, of_unet, *others = report["warnings"]
    assert "the U-Net that computed these features found nothing (mean dice of test volumes 0.00)" in of_unet
    assert "features found nothing" in page and of_unet in caplog.text
    short = min(accepted["of_asked"].values()) < 0.5  # as it is of a GAN of one step, or not
    assert [line.startswith("Far fewer generated maps") for line in others] == [True] * short + [False]
    assert others[-1].startswith("2 draws are few")
    assert "of 38 samples 19 of split train are studied" in trained_on and trained_on in caplog.text
    assert "of split train" in page
    assert "that an independent judge accepts" in page and f"{100 * accepted['judge']['benign']:.1f}%</td>" in page
    [shares, _] = csv.DictReader((folder / "few_shot_acceptance.csv").open())
    assert (shares["class"], float(shares["judge"])) == ("benign", accepted["judge"]["benign"])
    assert 0 < accepted["judge"]["benign"] <= 1 and accepted["discriminator"]["benign"] is None
    again = predictions.read(folder / "predictions_3.csv")
    (before,) = [text for name, text in kept.items() if name.endswith(".csv")]
    (tmp_path / "before.csv").write_text(before)
    before = predictions.read(tmp_path / "before.csv")
    rows = again.draw == 1
    assert again.arm[rows].tolist() == before.arm.tolist()
    np.testing.assert_array_equal(again.probabilities[rows], before.probabilities)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"few_shot_classifiers": ("linear", "ridge")},
            "ridge is of vectors, and .* holds maps; take some of cnn, ",
        ),
        ({"fixed_strengths": ("ridge@1",), "few_shot_classifiers": ("cnn",)}, "with 3 groups .* add cnn@"),
        ({"few_shot_arms": ("none", "covariates"), "covariates": ("age",)}, "covariates has clinical columns beside"),
    ],
)
def test_what_cannot_be_studied_of_maps_is_one_line(maps, changes, message):
    values = dict(np.load(maps))
    np.savez(maps, age=np.arange(38), **values)
    with pytest.raises(InputError, match=message):
        fewshot.run(config(maps, **{**OF_MAPS, **changes}))


def test_real_patients_are_left_out_where_none_are_in_reserve(features, caplog):
    fewshot.run(config(features, shots=("10",), draws=2, few_shot_arms=("none", "gaussian", "oracle")))
    report = json.loads((features.parent / "run" / "fewshot" / "report.json").read_text())
    assert {row["arm"] for row in report["rows"]} == {"none", "gaussian"} and report["reserve"] == 0
    assert "the arm oracle is left out: of class malignant no group is left" in caplog.text


def test_another_class_can_be_cut(features, caplog, capfd):
    caplog.set_level("INFO", logger="absl")
    fewshot.run(
        config(
            features,
            cut_class="benign",
            shots=("3",),
            draws=2,
            few_shot_arms=("none", "smote", "gaussian"),
            components=12,
        )
    )
    report = json.loads((features.parent / "run" / "fewshot" / "report.json").read_text())
    assert report["cut"] == "benign" and report["shots"] == [3]
    printed = capfd.readouterr().out
    assert caplog.text.count(report["verdict"]) + printed.count(report["verdict"]) == 1  # said once, as the last line
    line, few = report["warnings"]
    assert line.startswith("--components=12 of 15 training samples")  # 3, and 12 of the 20 others
    assert few.startswith("2 draws are few")
    assert "--components=12 of 15" in (features.parent / "run/fewshot/index.html").read_text(encoding="utf-8")
