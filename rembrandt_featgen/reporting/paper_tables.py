"""The paper's tables 1 to 3 as CSV, what a run found beside what the paper printed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rembrandt_featgen.data.augment import Ranges
from rembrandt_featgen.reporting.tables import csv_text

# Technique, parameter, the paper's value, and the field of `Ranges` that holds ours.
_TABLE_1 = (
    ("flip horizontally", "probability", 0.5, "flip_horizontal"),
    ("flip vertically", "probability", 0.5, "flip_vertical"),
    ("elastic distortion", "alpha (pixels, at a height of 240)", 720, "alpha"),
    ("elastic distortion", "sigma (pixels, at a height of 240)", 24, "sigma"),
    ("rotation", "degrees either way", 20, "angle"),
    ("shift horizontally and vertically", "share of the size, either way", 0.1, "shift"),
    ("shear horizontally", "share, either way", 0.05, "shear"),
    ("zoom", "share, either way", 0.1, "zoom"),
)
# Split to soft-dice loss, hard dice and IOU; the paper had no third split.
_TABLE_2 = {"train": (0.13, 0.84, 0.74), "validation": (0.13, 0.88, 0.79), "test": (None, None, None)}
_MEASURES = ("soft_dice_loss", "hard_dice", "iou")
_GRADES = ("HGG", "LGG", "total")
# Filters (ndf = ngf) to the class accuracy of synthetic features by D (4.2.2); the paper has none of 256.
CLASS_ACCURACY = {64: 0.76, 512: 0.823}
# Arm, synthetic features added, accuracy of HGG, of LGG and in total, and what the two of the grades come to.
_TABLE_3 = (
    ("baseline", 0, 0.95, 0.05, 0.61, 0.5, ""),
    (
        *("augmented", 1158, 0.569, 0.384, 0.524, 0.4765),
        "a total of 0.524 does not fit the grades' accuracies on 362 + 208 slices; 0.501 does",
    ),
)


def table_1(ranges: Ranges | None, origin: bool = False) -> str:
    """Parameters of the augmentations, of the paper and of the run.

    Args:
      ranges: the run's; None for a run without augmentation.
      origin: whether they are applied as the TensorLayer original does, which shears vertically.
    """
    rows = []
    for technique, parameter, paper, field in _TABLE_1:
        ours = "off"
        if ranges is not None:
            value = getattr(ranges, field)
            ours = round(math.degrees(value) if field == "angle" else value, 10)
            ours = f"{ours} (vertically)" if origin and field == "shear" else ours
        rows.append([technique, parameter, paper, ours])
    return csv_text(["technique", "parameter", "paper", "this_run"], rows)


def table_2(segmentation: Mapping[str, Mapping]) -> str:
    """Segmentation by the fine-tuned U-Net, means over slices.

    Args:
      segmentation: split to measures, as the finetune stage's stage.json holds them.
    """
    header = ["split", "patients", "slices", *_MEASURES, *(f"paper_{name}" for name in _MEASURES)]
    rows = []
    for split, paper in _TABLE_2.items():
        found = segmentation.get(split) or {}
        rows.append([split, *(found.get(name) for name in ("patients", "slices", *_MEASURES)), *paper])
    return csv_text(header, rows)


def table_3(classification: Sequence[Mapping]) -> str:
    """Accuracy of each arm, per slice and per patient, with 95% intervals over patients; the paper's rows last.

    Args:
      classification: rows as report.json holds them.
    """
    values = [f"accuracy_{grade}" for grade in _GRADES] + ["balanced_accuracy"]
    header = ["source", "unit", "arm", "classifier", "synthetic_added", "n_HGG", "n_LGG"]
    header += [name for value in values for name in (value, f"{value}_ci95_low", f"{value}_ci95_high")] + ["note"]
    rows = []
    for row in sorted(classification, key=lambda row: row["unit"] != "slice"):  # as the paper counts, first
        measures = {**{f"accuracy_{grade}": row["accuracy"][grade] for grade in _GRADES}, **row}
        cells = [
            "this run",
            row["unit"],
            row["arm"],
            row["classifier"],
            row["synthetic"],
            row["n"]["HGG"],
            row["n"]["LGG"],
        ]
        for value in values:
            cells += [measures[value], *(row["ci95"].get(value) or (None, None))]
        rows.append([*cells, ""])
    for arm, synthetic, *accuracies, note in _TABLE_3:
        cells = ["paper (REMBRANDT)", "slice", arm, "cnn", synthetic, 362, 208]
        rows.append([*cells, *(cell for value in accuracies for cell in (value, None, None)), note])
    return csv_text(header, rows)
