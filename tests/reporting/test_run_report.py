import copy
import json

import numpy as np
import pytest

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.evaluation import predictions
from rembrandt_featgen.features import crop_cnn
from rembrandt_featgen.reporting import run_figures, run_page, run_report
from tests.reporting.test_run_page import PNG, row

CLASSES = Classes.of(("benign", "malignant"))


def of_classes(value):
    return json.loads(json.dumps(value).replace("HGG", "malignant").replace("LGG", "benign"))


ROWS = of_classes(
    [row(arm, "patient", classifier=kind) for arm in ("baseline", "augmented") for kind in ("cnn", "linear")]
)
DIFFERENCE = {"against": "baseline", "difference": 0.1, "ci95": [-0.1, 0.2], "p_value": 0.4, "p_adjusted": 0.4}
for each in ROWS:
    each["kind"] = "generative" if each["arm"] == "augmented" else "none"
    if each["arm"] == "augmented":
        each["difference"] = DIFFERENCE
COUNTS = {"patients": {"malignant": 25, "benign": 4}, "slices": {"malignant": 80, "benign": 9}, "empty_masks": 0}
RECORDS = {
    "prepare_slices": {
        "config": {"image_size": 64},
        "seconds": 1.0,
        "figures": {
            "patients": {"malignant": 30, "benign": 20},
            "slices": {"malignant": 90, "benign": 60},
            "split": {"test": COUNTS},
            "source": "a cohort",
            "empty_mask_patients": ["P7"],
            "tumour_cut_off": [],
        },
    },
    "train_unet": {
        "config": {"unet_epochs": 5},
        "seconds": 2.0,
        "figures": {"segmentation": {"test": {"hard_dice": 0.8, "patient_hard_dice": 0.8}}, "best_epoch": 2},
        "versions": {"numpy": "1"},
    },
    "extract_features": {"config": {}, "seconds": 3.0, "figures": {"tap": "conv5", "shape": [4, 4, 8]}},
    "train_generators": {"config": {"gan_epochs": 7}, "seconds": 4.0, "figures": {}, "kind": "acgan"},
    "generate_synthetic": {
        "config": {"synthetic_per_class": 10},
        "seconds": 5.0,
        "figures": {
            "kept": {"benign": 10, "malignant": 10},
            "synthetic": 20,
            "generated": 40,
            "acceptance": {"benign": 0.5, "malignant": 0.5},
            "class_accuracy": 0.5,
        },
    },
    "train_classifiers": {
        "config": {},
        "seconds": 6.0,
        "figures": {
            "classification": ROWS,
            "comparison": {"cnn": {"difference": 0.1, "ci95": [-0.1, 0.2], "patients": {"malignant": 25, "benign": 4}}},
        },
    },
}
FEW = "Only 4 test patients are benign: intervals are wide, and one more correct patient changes the accuracy of benign"


def changed(stage, key, **values):
    records = copy.deepcopy(RECORDS)
    records[stage][key] |= values
    return records


def test_report_has_classes_counts_settings_and_a_verdict():
    report = run_report.collect(RECORDS, CLASSES)
    assert report["classes"] == {"names": ["benign", "malignant"], "positive": "malignant"}
    assert report["cohort"]["empty_mask_patients"] == 1
    assert report["generator"]["kind"] == "acgan" and report["generator"]["feature_shape"] == [4, 4, 8]
    assert report["settings"] == {"image_size": 64, "unet_epochs": 5, "gan_epochs": 7, "synthetic_per_class": 10}
    assert report["stages"]["train_unet"] == {"seconds": 2.0}
    assert report["verdict_word"] == "undecided"
    assert report["verdict"].startswith("Undecided: each classifier was trained once")
    assert report["verdict"].endswith("0.770 on real features alone, 0.770 with generated ones.")
    assert "+0.100 (95% interval over patients -0.100 to +0.200). Each was trained once" in report["paper_comparison"]


def test_a_study_gives_the_verdict():
    """Of its report, whatever else is in it; an interval that it lacks is not there."""
    arms = [
        {
            "arm": "none",
            "kind": "none",
            "classifier": "mlp",
            "unit": "patient",
            "auroc": 0.75,
            "ci95": {"auroc": [0.5, 1]},
        },
        {"arm": "gaussian", "kind": "generative", "classifier": "mlp", "unit": "patient", "auroc": 0.8},
        {"arm": "none", "kind": "none", "classifier": "mlp", "unit": "slice", "auroc": 0.7},
    ]
    study = {
        "verdict": "Helped, by much.",
        "verdict_word": "helped",
        "verdict_rule": "A rule.",
        "arms": arms,
        "other": 1,
    }
    evaluated = {"config": {"plan": "k-fold", "arms": ["none"]}, "seconds": 7.0, "figures": {}}
    report = run_report.collect({**RECORDS, "evaluate_features": evaluated}, CLASSES, study)
    assert [report[key] for key in ("verdict", "verdict_word", "verdict_rule")] == [
        "Helped, by much.",
        "helped",
        "A rule.",
    ]
    assert [(row["arm"], row["auroc"], row["ci95"]["auroc"]) for row in report["arms"]] == [
        ("none", 0.75, [0.5, 1]),
        ("gaussian", 0.8, None),
    ]
    assert report["settings"]["arms"] == ["none"] and "plan" not in report["settings"]
    assert report["stages"]["evaluate_features"] == {"seconds": 7.0}
    assert run_report.collect(RECORDS, CLASSES, {"verdict": "No word."})["verdict_word"] == "undecided"


def test_a_share_that_fresh_patients_replace_is_not_shown():
    records = changed("prepare_slices", "config", test_fraction=0.1)
    assert run_report.collect(records, CLASSES)["settings"]["test_fraction"] == 0.1
    records["prepare_slices"]["figures"]["fresh_patients"] = 20
    assert "test_fraction" not in run_report.collect(records, CLASSES)["settings"]


def test_numbers_that_are_not_defined_are_said_to_be_so():
    records = copy.deepcopy(RECORDS)
    for each in records["train_classifiers"]["figures"]["classification"]:
        each["auroc"] = None
    records["train_classifiers"]["figures"]["comparison"]["cnn"]["ci95"] = [None, None]
    report = run_report.collect(records, CLASSES)
    assert "not defined on real features alone" in report["verdict"]
    assert report["paper_comparison"].endswith("is not defined here.")


def test_settings_of_a_sweep_are_not_those_of_the_run():
    sweep = {"config": {"gan_epochs": 1}, "seconds": 1.0, "figures": {}}
    assert run_report.collect({**RECORDS, "run_sweep": sweep}, CLASSES)["settings"]["gan_epochs"] == 7


def test_warnings_of_a_sound_run():
    first, second = run_report.warnings(RECORDS)
    assert first == f"{FEW} by 0.25."
    assert second.startswith("One split, one U-Net and one generator")


@pytest.mark.parametrize(
    ("records", "warning"),
    [
        (changed("extract_features", "figures", tap="crop_cnn"), crop_cnn.WARNING),
        (
            changed("train_unet", "figures", segmentation={"test": {"hard_dice": 0.9, "patient_hard_dice": 0.31}}),
            "(mean dice of test volumes 0.31)",
        ),
        (changed("train_unet", "figures", collapses=[{"epoch": 3}]), "next to no tumour in epoch 3 (went on from new"),
        (changed("train_unet", "figures", best_epoch=7, epochs=8), "The U-Net's last epoch was its best"),
        (changed("train_unet", "figures", best_epoch=4), "The U-Net's last epoch was its best"),
        (changed("generate_synthetic", "figures", kept={"benign": 3}), "Only 3 of 10 wanted synthetic benign features"),
        (changed("prepare_slices", "figures", tumour_cut_off=["P1", "P2"]), "cuts off tumour of P1, P2."),
        (changed("prepare_slices", "figures", warnings=["42% of the head is cut off"]), "42% of the head is cut off."),
    ],
)
def test_each_warning_has_its_reason(records, warning):
    assert warning not in " ".join(run_report.warnings(RECORDS))
    assert warning in " ".join(run_report.warnings(records))


def test_figures_of_the_page_stand_in_their_sections(tmp_path, monkeypatch):
    given = {}
    monkeypatch.setattr(
        run_figures, "segmentation_overlays", lambda *args, titles: given.setdefault("titles", titles) and PNG
    )
    monkeypatch.setattr(run_figures, "probability_strip", lambda *args: given.update(strip=args) or PNG)
    blank = np.zeros((1, 4, 4))
    arrays = {"images": blank, "truths": blank, "predictions": blank}
    arrays |= {"patients": ["A"], "labels": [1], "dice": [0.5]}
    np.savez(tmp_path / "overlays.npz", **arrays, **{f"worst_{name}": array for name, array in arrays.items()})
    drawn = {name: {"alt": name, "caption": name} for name in ("figure_06", "figure_09", "figure_10", "figure_11")}
    for name in drawn:
        (tmp_path / f"{name}.png").write_bytes(PNG)
    samples = predictions.Samples(np.array(["A", "B"]), np.array([0, 0]), np.array([1, 0]))
    tables = []
    for arm in ("baseline", "augmented"):
        p = np.array([[0.25, 0.75], [0.75, 0.25]])
        tables.append(predictions.rows(samples, p, classes=CLASSES, arm=arm, kind="none", classifier="cnn"))
    predictions.write(tmp_path / predictions.FILE, predictions.join(tables))
    folders = dict.fromkeys(("train_unet", "draw_figures", "train_classifiers"), tmp_path)
    records = {"draw_figures": {"figures": {"figures": drawn}}}
    report = {"classes": CLASSES.record, "classification": ROWS}
    figures = run_report.figures_of_page(folders, records, report=report, classes=CLASSES)
    assert list(figures) == [
        "overlays",
        "overlays_worst",
        "unet_curves",
        "feature_maps_malignant",
        "feature_maps_benign",
        "gan_curves",
        "forest",
        "strip",
    ]
    assert given["titles"] == ["A, malignant, dice 0.50"]
    by_arm, truths, classes = given["strip"]
    assert {arm: values.round(6).tolist() for arm, values in by_arm.items()} == {
        "baseline, cnn": [0.75, 0.25],
        "augmented, cnn": [0.75, 0.25],
    }
    assert (truths, classes) == (["malignant", "benign"], CLASSES)
    text = run_page.render(report, figures)
    order = [
        'id="classification"',
        'id="segmentation"',
        'alt="Slices of test',
        'alt="A slice of each',
        'alt="figure_06"',
        'id="generator"',
        'alt="figure_09"',
    ]
    places = [text.index(part) for part in [*order, 'alt="figure_10"', 'alt="figure_11"', 'id="methods"']]
    assert places == sorted(places)
