"""What sweep.json of a made-up run holds."""


def row(unit, hgg, lgg):
    """A row of the classification table."""
    balanced = (hgg + lgg) / 2
    names = ("accuracy_HGG", "accuracy_LGG", "balanced_accuracy")
    ci95 = dict(zip(names, ([hgg - 0.1, hgg + 0.1], [lgg - 0.1, lgg + 0.1], [balanced - 0.05, balanced + 0.05])))
    return {"unit": unit, "accuracy": {"HGG": hgg, "LGG": lgg}, "balanced_accuracy": balanced, "ci95": ci95}


def arm(name, added, loss, hgg, lgg, chosen=False, difference=None):
    """A trained classifier of a point; validation is 0.1 better."""
    units = ("slice", "patient")
    if difference is not None:
        difference = {"difference": difference, "ci95": [difference - 0.1, difference + 0.1], "p_value": 0.2}
        difference["p_adjusted"] = 0.4
    return {
        "arm": name,
        "classifier": "cnn",
        "patient_log_loss": loss,
        "added": dict(zip(("LGG", "HGG"), added)),
        "validation": {unit: row(unit, hgg + 0.1, lgg + 0.1) for unit in units},
        "test": {unit: row(unit, hgg, lgg) for unit in units},
        "chosen": chosen,
        "difference": difference,
    }


def point(axis, value, arms, reference=False, note="", tap="conv5", filters=64, gan="acgan"):
    """A point of features."""
    history = {"d_loss": [2.0, 1.5], "g_loss": [1.0, 1.1], "fake_class_accuracy": [0.5, 0.8]}
    settings = {"tap": tap, "ndf": filters, "ngf": filters, "implementation": "correct", "gan": gan}
    return {
        "axis": axis,
        "value": value,
        "reference": reference,
        "note": note,
        "settings": settings,
        "segmentation": {split: {"hard_dice": 0.7, "iou": 0.6} for split in ("train", "validation", "test")},
        "generator": {"kind": gan, "generated": 100, "synthetic": 80, "class_accuracy": 0.8},
        "arms": arms,
        "history": history,
    }


def start(value, dice, difference=None):
    """A point of another start of the U-Net."""
    table = {"soft_dice_loss": 1 - dice, "hard_dice": dice, "iou": dice / 2, "patient_hard_dice": dice}
    if difference is not None:
        difference = {"difference": difference, "ci95": [0.0, 0.2], "p_value": 0.04, "patients": 9}
    history = {"soft_dice_loss": [0.5, 0.4], "val_hard_dice": [0.4, dice], "val_iou": [0.3, dice / 2]}
    return {
        "axis": "start",
        "value": value,
        "reference": value == "scratch",
        "note": "",
        "segmentation": dict.fromkeys(("train", "validation", "test"), table),
        "epochs": 2,
        "steps": 14,
        "best_epoch": 1,
        "history": history,
        "difference": difference,
    }


SWEPT = {
    "choice_rule": "Validation patients chose.",
    "points": [
        start("pre-trained", 0.7, 0.1),
        start("scratch", 0.6),
        point("implementation", "augmentation", [arm("baseline", (0, 0), 0.6, 0.7, 0.5)]),
        point("tap", "conv5", [arm("baseline", (0, 0), 0.6, 0.7, 0.5, True)], True),
        point("tap", "uconv1", [arm("baseline", (0, 0), 0.7, 0.6, 0.5, False, -0.05)], tap="uconv1"),
        point("gan", "cgan", [arm("augmented", (5, 5), 0.5, 0.7, 0.7, True)], gan="cgan"),
        point("filters", "64", [arm("augmented", (5, 5), 0.5, 0.7, 0.7, True)], True),
        point("added", "0", [arm("baseline", (0, 0), 0.6, 0.7, 0.5)], True),
        point("added", "10", [arm("augmented", (5, 5), 0.5, 0.7, 0.7, True, 0.1)]),
        point("added", "900", [], note="there are <80> synthetic features"),
        point("balancing", "4", [arm("augmented", (4, 0), 0.55, 0.6, 0.6, False, 0.0)]),
        point("added_HGG", "6", [arm("augmented", (0, 6), 0.55, 0.6, 0.6, False, 0.0)]),
        point("added_LGG", "7", [arm("augmented", (7, 0), 0.55, 0.6, 0.6, False, 0.0)]),
    ],
}
