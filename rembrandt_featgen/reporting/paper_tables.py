"""The paper's tables 1 to 3 as CSV: what a run found beside what the paper printed, which all pages take from here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.data.augmentation_parameters import Ranges
from rembrandt_featgen.data.intensity_augmentation import STANDARD
from rembrandt_featgen.data.pipelines import AUGMENTATIONS
from rembrandt_featgen.reporting.table_text import csv_text

# Technique, parameter, the paper's value, and the field of `Ranges` that holds the run's.
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
TABLE_2 = {"train": (0.13, 0.84, 0.74), "validation": (0.13, 0.88, 0.79), "test": (None, None, None)}
_NOTES_2 = {
    "train": "",
    "validation": "the paper's validation set is its test set and chose its epoch",
    "test": "the paper has no third split: see validation",
}
_MEASURES = ("soft_dice_loss", "hard_dice", "iou")
TEST_PATIENTS, TEST_SLICES = {"HGG": 7, "LGG": 4}, {"HGG": 362, "LGG": 208}  # 3.4
CLASS_ACCURACY = {64: 0.76, 512: 0.823}  # 4.2.1: filters to acceptance rate of synthetic features by D


class Accuracies(NamedTuple):
    """A row of Table 3; `balanced` is the mean of the grades' accuracies, and `fitting` the total that fits them."""

    arm: str
    synthetic: int
    HGG: float
    LGG: float
    total: float
    balanced: float
    fitting: float | None = None

    @property
    def note(self) -> str:
        """What is wrong with the row."""
        if self.fitting is None:
            return ""
        slices = " + ".join(map(str, TEST_SLICES.values()))
        return f"a total of {self.total} does not fit the grades' accuracies on {slices} slices; {self.fitting} does"


TABLE_3 = (
    Accuracies(arm="baseline", synthetic=0, HGG=0.95, LGG=0.05, total=0.61, balanced=0.5),
    Accuracies(arm="augmented", synthetic=1158, HGG=0.569, LGG=0.384, total=0.524, balanced=0.4765, fitting=0.501),
)


def has_classes_of_paper(names: Iterable[str]) -> bool:
    """Whether classes are those of the paper, so that its numbers can be shown beside a run's."""
    return set(names) == set(TEST_PATIENTS)


def tables(records: Mapping[str, Mapping], classes: Classes) -> dict[str, str]:
    """Name to CSV of the three tables.

    Args:
      records: name of each stage to its stage.json.
      classes: of the run.
    """
    settings = records["train_unet"]["config"]
    return {
        "table_1": table_1(settings["augmentation"] if settings["augment"] else None),
        "table_2": table_2(records["train_unet"]["figures"]["segmentation"]),
        "table_3": table_3(records["train_classifiers"]["figures"]["classification"], classes),
    }


def table_1(mode: str | None, ranges: Ranges | None = None) -> str:
    """Parameters of the augmentations, of the paper and of the run.

    Args:
      mode: the run's, one of `AUGMENTATIONS`: "reference" shears vertically, and "standard" has rows for changes of
        intensity, too, which the paper has not; None for a run without augmentation.
      ranges: how far each goes; None for those of the mode.
    """
    if mode is not None and ranges is None:
        ranges = AUGMENTATIONS[mode].RANGES
    rows = []
    for technique, parameter, paper, field in _TABLE_1:
        ours = "off"
        if ranges is not None:
            value = getattr(ranges, field)
            ours = f"{round(math.degrees(value) if field == 'angle' else value, 10)}"
            ours = f"{ours} (vertically)" if mode == "reference" and field == "shear" else ours
        rows.append([technique, parameter, paper, ours])
    for field, value in STANDARD._asdict().items() if mode == "standard" else ():
        ours = " to ".join(map(str, value)) if isinstance(value, tuple) else f"{value}"
        rows.append(["change of intensity", field.replace("_", " "), "none", ours])
    return csv_text(["technique", "parameter", "paper", "this_run"], rows)


def table_2(segmentation: Mapping[str, Mapping]) -> str:
    """Segmentation by the fine-tuned U-Net, means over slices.

    Args:
      segmentation: split to measures, as the stage.json of `train_unet` holds them.
    """
    header = ["split", "patients", "slices", *_MEASURES, *(f"paper_{name}" for name in _MEASURES), "note"]
    rows = []
    for split, paper in TABLE_2.items():
        measured = segmentation.get(split) or {}
        ours = [measured.get(name) for name in ("patients", "slices", *_MEASURES)]
        rows.append([split, *ours, *paper, _NOTES_2[split]])
    return csv_text(header, rows)


def table_3(classification: Sequence[Mapping], classes: Classes) -> str:
    """Accuracy of each arm, per slice and per patient, with 95% intervals over patients.

    The paper's rows come last, if the classes are those of the paper.

    Args:
      classification: rows as report.json holds them.
      classes: of the run.
    """
    names = classes.positive_first
    values = [f"accuracy_{name}" for name in (*names, "total")] + ["balanced_accuracy"]
    header = ["source", "unit", "arm", "classifier", "synthetic_added", *(f"n_{name}" for name in names)]
    header += [name for value in values for name in (value, f"{value}_ci95_low", f"{value}_ci95_high")] + ["note"]
    rows = []
    for row in sorted(classification, key=lambda row: row["unit"] != "slice"):  # as the paper counts, first
        measures = {**{f"accuracy_{name}": value for name, value in row["accuracy"].items()}, **row}
        cells = [
            "this run",
            row["unit"],
            row["arm"],
            row["classifier"],
            row["synthetic"],
            *(row["n"][name] for name in names),
        ]
        for value in values:
            cells += [measures[value], *(row["ci95"].get(value) or (None, None))]
        rows.append([*cells, ""])
    for paper in TABLE_3 if has_classes_of_paper(names) else ():
        counts = [TEST_SLICES[name] for name in names]
        cells = ["paper (REMBRANDT)", "slice", paper.arm, "cnn", paper.synthetic, *counts]
        accuracies = [*(getattr(paper, name) for name in names), paper.total, paper.balanced]
        rows.append([*cells, *(cell for value in accuracies for cell in (value, None, None)), paper.note])
    return csv_text(header, rows)
