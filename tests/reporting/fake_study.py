"""A study's report.json as the stage makes it: 15 arms, 5 folds x 5 seeds, 170 patients; numbers made up."""

import copy

import numpy as np

from rembrandt_featgen.core import json_files
from tests.reporting import fake_contrasts

ARMS = {
    "none": ("none",),
    "classical": (
        "class_weights",
        "oversampling",
        "undersampling",
        "focal_loss",
        "image_augmentation",
        "mixup",
        "smote",
    ),
    "generative": ("gaussian", "vae", "acgan", "acgan_64", "wgan_gp", "infogan", "diffusion"),
}
MEASURES = ("mcc", "auroc", "auprc", "brier", "log_loss", "ece", "sensitivity_at_specificity")
SEEDS = 5
AMOUNTS = ("0.25", "0.5", "1.0", "2.0", "balance")
PATIENTS = {"HGG": 108, "LGG": 62}
REFERENCE = "none"


def _around(middle, half):
    return [round(float(middle - half), 6), round(float(middle + half), 6)]


def _row(rng, arm, kind, unit, centre, classifier):
    scale = 1 if unit == "patient" else 20
    hgg, lgg = np.clip(centre + 0.09, 0, 1), np.clip(centre - 0.09, 0, 1)
    values = dict(
        zip(
            MEASURES,
            (
                *(2 * centre - 1, centre + 0.06, centre + 0.16, 0.21, 1.2 - centre),
                *(0.08 + rng.random() / 20, centre - 0.1),
            ),
        )
    )
    row = {
        "arm": arm,
        "kind": kind,
        "classifier": classifier,
        "unit": unit,
        "n": {name: count * scale for name, count in PATIENTS.items()},
        "accuracy": {"HGG": hgg, "LGG": lgg, "total": (hgg * 108 + lgg * 62) / 170},
        "balanced_accuracy": centre,
        **values,
        "ci95": {name: _around(value, 0.07) for name, value in {"balanced_accuracy": centre, **values}.items()},
        "by_fold": [
            {
                "name": f"repeat0_seed{seed}_fold{fold}",
                "balanced_accuracy": float(np.clip(centre + rng.normal() / 14, 0, 1)),
            }
            for seed in range(SEEDS)
            for fold in range(5)
        ],
        "by_seed": [centre - 0.012, centre, centre, centre, centre + 0.012],
        "amounts": {"balance": 19, "1.0": 6} if kind == "generative" else {},
        "thresholds": [0.41, 0.5, 0.55],
    }
    row["ci95"].update({f"accuracy_{name}": _around(row["accuracy"][name], 0.08) for name in ("HGG", "LGG", "total")})
    return row


def _generator(rng, arm):
    values = {
        "kernel_distance": 0.004 + rng.random() / 50,
        "frechet_distance": 3 + 4 * rng.random(),
        "precision": 0.7 + rng.random() / 5,
        "recall": 0.2 + rng.random() / 2,
        "density": 0.8 + rng.random() / 2,
        "coverage": 0.5 + rng.random() / 3,
        "train_synthetic_test_real": 0.6 + rng.random() / 10,
        "train_real_test_synthetic": 0.8 + rng.random() / 10,
        "class_accuracy_own": None if arm in ("gaussian", "vae", "wgan_gp") else 0.85 + rng.random() / 10,
        "class_accuracy_independent": 0.7 + rng.random() / 5,
    }
    return {
        "arm": arm,
        **values,
        **{f"{key}_sd": value and value / 9 for key, value in values.items()},
        "acceptance": {"HGG": 0.93, "LGG": 0.71},
        "memorisation": {
            "memorised": arm == "vae",
            "folds_flagged": 13 if arm == "vae" else 0,
            "folds": 25,
            "p_value": 0.001 if arm == "vae" else 0.42,
            "nearest_ratio_median": 0.55 if arm == "vae" else 0.97,
            "share_below_1_percent": 0.31 if arm == "vae" else 0.008,
            "most_copied": [["TCGA-CS-4941", 41], ["TCGA-DU-5852", 17]] if arm == "vae" else [],
        },
    }


def make(gains=(), *, classifiers=("cnn",), error=0.03, **changes) -> dict:
    """The report.

    Args:
      gains: arm to what raises its balanced accuracy and AUROC.
      classifiers: of which each has all arms; each after the first is 0.02 worse than the one before.
      error: standard error of the contrasts' differences; that of an arm to the reference is 0.02.
      changes: replace keys.
    """
    rng = np.random.default_rng(0)
    gains = dict(gains)
    arms = []
    for unit in ("slice", "patient"):
        for number, classifier in enumerate(classifiers):
            for kind, names in ARMS.items():
                for i, arm in enumerate(names):
                    centre = 0.62 + 0.012 * i + {"none": 0.0, "classical": 0.01, "generative": -0.005}[kind]
                    centre = round(centre + gains.get(arm, 0.0) - 0.02 * number, 4)
                    arms.append(_row(rng, arm, kind, unit, centre, classifier))
    of_patients = [row for row in arms if row["unit"] == "patient"]
    others = [row for row in of_patients if row["arm"] != REFERENCE]
    for row in others:
        reference = next(r for r in of_patients if (r["arm"], r["classifier"]) == (REFERENCE, row["classifier"]))
        gap = row["auroc"] - reference["auroc"]
        row["difference"] = fake_contrasts.difference(gap, against=REFERENCE, family=len(others))
    generative = ARMS["generative"]
    report = {
        "classes": {"names": ["LGG", "HGG"], "positive": "HGG"},
        "cohort": {
            "patients": dict(PATIENTS),
            "slices": {"HGG": 2160, "LGG": 1240},
            "source": "TCGA-GBM and TCGA-LGG, FLAIR",
            "sites": {"CS": 40, "DU": 61, "FG": 33, "HT": 36},
        },
        "cross_validation": {
            "folds": 5,
            "repeats": 1,
            "seeds": SEEDS,
            "grouping": "patient",
            "runs": 25,
            "validation_fraction": 0.2,
            "fold_records": [
                {
                    "name": f"repeat0_seed{seed}_fold{fold}",
                    "repeat": 0,
                    "seed": seed,
                    "fold": f"fold{fold}",
                    "train": {"HGG": 69, "LGG": 39},
                    "validation": {"HGG": 17, "LGG": 10},
                    "test": {"HGG": 22, "LGG": 13},
                    "seconds": 812.5 + fold,
                }
                for seed in range(SEEDS)
                for fold in range(5)
            ],
        },
        "segmentation": {
            "test": {
                "soft_dice_loss": 0.171,
                "hard_dice": 0.829,
                "iou": 0.741,
                "patient_hard_dice": 0.818,
                "patient_hard_dice_ci95": [0.79, 0.843],
                "volumes": {
                    "dice": {"mean": 0.818, "median": 0.857, "ci95": [0.79, 0.843], "volumes": 169},
                    "surface_distance_mm": {"mean": 1.62, "median": 1.1, "ci95": [1.2, 2.04], "volumes": 166},
                },
                "with_tumour": {"slices": 9000, "soft_dice_loss": 0.21, "hard_dice": 0.792, "iou": 0.7},
                "without_tumour": {"slices": 1200, "nothing_predicted": 0.951},
                "worst": [["TCGA-CS-4941", 0.021], ["TCGA-DU-5852", 0.134], ["TCGA-FG-5963", 0.207]],
            }
        },
        "arms": arms,
        "reference": {
            "arm": REFERENCE,
            "classifier": classifiers[0],
            "by_classifier": dict.fromkeys(classifiers, REFERENCE),
            "why": "real samples alone, with tuned regularisation; named before the test",
        },
        "amount_curve": [
            {
                "arm": arm,
                "amount": amount,
                "balanced_accuracy": 0.62 + 0.01 * i + 0.008 * j,
                "ci95": [0.55 + 0.01 * i, 0.74],
            }
            for j, arm in enumerate(generative)
            for i, amount in enumerate(AMOUNTS)
        ],
        "generators": [_generator(rng, arm) for arm in generative],
        "reliability": [
            {
                "arm": arm,
                "classifier": classifiers[0],
                "bins": [
                    {
                        "probability": 0.05 + i / 10,
                        "observed": float(np.clip(0.05 + i / 10 + rng.normal() / 12, 0, 1)),
                        "n": 6 + 3 * i,
                    }
                    for i in range(10)
                ],
            }
            for names in ARMS.values()
            for arm in names
        ],
        "self_checks": [
            {"check": "labels shuffled", "passed": True, "finding": "balanced accuracy 0.49 [0.41, 0.57] covers 0.5"},
            {"check": "no patient in two splits", "passed": True, "finding": "0 patients shared in 25 runs"},
            {"check": "planted copy is found", "passed": False, "finding": "the audit missed 1 of 5 planted copies"},
        ],
        "power": [{"patients": n, "power": power} for n, power in ((50, 0.31), (100, 0.58), (170, 0.8), (300, 0.96))],
        **fake_contrasts.compare(of_patients, PATIENTS, error=error),
        "warnings": ["Only 62 patients are LGG: intervals are wide.", "No external cohort was tested."],
        "stages": {"slices": {"seconds": 120.0}, "folds": {"seconds": 12187.0}},
        "versions": {"tensorflow": "2.15.1", "numpy": "1.26.4"},
        "settings": {
            "seed": 7,
            "tap": "conv5",
            "modalities": ["flair"],
            "augment": True,
            "unet_epochs": 30,
            "gan_epochs": 50,
            "classifier_epochs": 60,
            "bootstrap_draws": 2000,
            "cohort": "/data/tcga",
        },
    }
    return json_files.plain(copy.deepcopy({**report, **changes}))


def thin() -> dict:
    """The report with one entry of each sort, all keys still there."""
    report = make()
    wanted = [("smote", "patient"), (REFERENCE, "patient"), ("vae", "patient"), ("vae", "slice")]
    report["arms"] = [row for row in report["arms"] if (row["arm"], row["unit"]) in wanted]
    for row in report["arms"]:
        row["by_fold"] = row["by_fold"][:2]
    report["generators"] = [entry for entry in report["generators"] if entry["arm"] == "vae"]
    report["cross_validation"]["fold_records"] = report["cross_validation"]["fold_records"][:1]
    report["reliability"] = [{**entry, "bins": entry["bins"][:2]} for entry in report["reliability"][:1]]
    for key in ("amount_curve", "power", "self_checks"):
        report[key] = report[key][:2]
    return report
