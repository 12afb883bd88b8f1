"""A run's sweeps as tables, and as trials for TensorBoard: what sweep.json holds in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.reporting import paper_tables, records
from rembrandt_featgen.reporting.table_text import csv_text

_UNITS = ("slice", "patient")
_SPLITS = ("validation", "test")
_SEGMENTATION = ("soft_dice_loss", "hard_dice", "iou", "patient_hard_dice")
_SETTINGS = ("implementation", "tap", "gan", "ndf", "ngf")


def axes(names: Sequence[str]) -> dict[str, str]:
    """Name of each axis of a sweep to its title.

    Args:
      names: of the classes, in the order in which tables show them.
    """
    return {
        "implementation": "Modes of the reference implementation",
        "tap": "Source of features",
        "gan": "Kind of GAN",
        "filters": "Filters of the GAN (ndf = ngf)",
        "added": "Added to all classes",
        "balancing": "Added to the minority class",
        **{f"added_{name}": f"Added to {name} alone" for name in names},
    }


def curve_axes(names: Sequence[str]) -> tuple[str, ...]:
    """Axes on which the number of added features varies; `names` of the classes in the order of the tables."""
    return ("added", "balancing", *(f"added_{name}" for name in names))


def tables(swept: Mapping, classes: Classes) -> dict[str, str]:
    """Name to CSV of each table: "sweep" of features, "pretraining" of the U-Net's starts; those that have rows."""
    rows_of = {"sweep": _sweep_rows(swept, classes), "pretraining": _start_rows(swept)}
    return {name: csv_text(rows[0], [row.values() for row in rows]) for name, rows in rows_of.items() if rows}


def compared(swept: Mapping) -> dict[str, list[dict]]:
    """Axis to its rows for a page: the point, the result of one arm ({} if it failed), the paper's class accuracy."""
    rows: dict[str, list[dict]] = {}
    for point in swept["points"]:
        if point["axis"] != "start":
            paper = _class_accuracy_of_paper(point) if point["axis"] == "filters" else None
            members = [{"point": point, "result": result, "paper": paper} for result in point["arms"] or [{}]]
            rows.setdefault(point["axis"], []).extend(members)
    return rows


def points_of(swept: Mapping, axis: str) -> list[Mapping]:
    """The points of one axis."""
    return [point for point in swept["points"] if point["axis"] == axis]


def trials(swept: Mapping, classes: Classes) -> dict[str, tuple[dict, dict, Mapping]]:
    """Name of each trained point (and arm) to its settings, metrics and curves (of GAN or U-Net) for TensorBoard."""
    names, trials_by_name = classes.positive_first, {}
    texts = ("axis", "start", "implementation", "tap", "gan", "filters", "arm")
    blank = {**dict.fromkeys(texts, ""), **dict.fromkeys([f"added_{name}" for name in names], 0)}
    for point in swept["points"]:
        trial = f"{point['axis']}={point['value']}"
        if point["axis"] == "start":
            if point["segmentation"]:
                measured = {
                    f"{split}/{key}": point["segmentation"][split][key]
                    for split in _SPLITS
                    for key in ("hard_dice", "iou")
                }
                settings = {**blank, "axis": "start", "start": point["value"]}
                trials_by_name[trial] = (settings, measured, point["history"])
            continue
        for result in point["arms"]:
            settings = point["settings"]
            given = {"axis": point["axis"], "filters": _filters(settings), "arm": result["arm"]}
            given |= {key: settings[key] for key in ("implementation", "tap", "gan")}
            given |= {f"added_{name}": result["added"][name] for name in names}
            measured = {
                f"{split}/balanced_accuracy_per_{unit}": result[split][unit]["balanced_accuracy"]
                for split in _SPLITS
                for unit in _UNITS
            }
            measured["validation/patient_log_loss"] = result["patient_log_loss"]
            measured |= {f"{split}/hard_dice": point["segmentation"][split]["hard_dice"] for split in _SPLITS}
            measured["class_accuracy_by_discriminator"] = (point["generator"] or {}).get("class_accuracy")
            # points with other numbers of added features share the run's GAN, whose curves need no copy
            has_gan = result["arm"] == "augmented" and point["axis"] not in curve_axes(names)
            trials_by_name[f"{trial}/{result['arm']}"] = (
                {**blank, **given},
                measured,
                point["history"] if has_gan else {},
            )
    return trials_by_name


def _filters(settings: Mapping) -> str:
    ndf, ngf = settings["ndf"], settings["ngf"]
    return f"{ndf}" if ndf == ngf else f"ndf {ndf}, ngf {ngf}"


def _class_accuracy_of_paper(point: Mapping) -> float | None:
    """What the paper printed for a GAN like its own but for the filters: an ACGAN of conv5, ndf = ngf."""
    gan, tap, ndf, ngf = (point["settings"][name] for name in ("gan", "tap", "ndf", "ngf"))
    return paper_tables.CLASS_ACCURACY.get(ndf) if (gan, tap, ndf) == ("acgan", "conv5", ngf) else None


def _sweep_rows(swept: Mapping, classes: Classes) -> list[dict]:
    """Rows of equal keys, one for each point and arm; a point that failed has one, with its note."""
    rows = []
    for axis, members in compared(swept).items():
        for member in members:
            point, result = member["point"], member["result"]
            generator = point["generator"] or {}
            row = {"axis": axis, "value": point["value"]}
            row |= {"arm": result.get("arm"), "classifier": result.get("classifier")}
            row |= {key: point["settings"][key] for key in _SETTINGS}
            row |= {f"added_{name}": (result.get("added") or {}).get(name) for name in classes.positive_first}
            row |= {"generated": generator.get("generated"), "accepted": generator.get("synthetic")}
            row |= {"class_accuracy_by_discriminator": generator.get("class_accuracy")}
            row |= {"paper_class_accuracy": member["paper"]}
            row |= {
                f"unet_{split}_hard_dice": point["segmentation"].get(split, {}).get("hard_dice") for split in _SPLITS
            }
            row |= {"validation_patient_log_loss": result.get("patient_log_loss"), "chosen": result.get("chosen")}
            for split in _SPLITS:
                for unit in _UNITS:
                    row |= _measured(f"{split}_{unit}", (result.get(split) or {}).get(unit), classes)
            row |= _difference(result.get("difference"), "p_adjusted")
            rows.append({**row, "reference": point["reference"], "note": point["note"]})
    return rows


def _measured(start: str, row: Mapping | None, classes: Classes) -> dict:
    """Measures of a row of the classification table, with intervals, under names that begin alike."""
    measured: dict = {}
    for key in (*(f"accuracy_{name}" for name in classes.positive_first), "balanced_accuracy"):
        low, high = records.bounds(row, key) or (None, None) if row else (None, None)
        measured[f"{start}_{key}"] = records.value(row, key) if row else None
        measured |= {f"{start}_{key}_ci95_low": low, f"{start}_{key}_ci95_high": high}
    return measured


def _difference(difference: Mapping | None, p: str) -> dict:
    low, high = records.dig(difference, "ci95") or (None, None)
    bounds = {"difference_ci95_low": low, "difference_ci95_high": high}
    return {"difference": records.dig(difference, "difference"), **bounds, p: records.dig(difference, p)}


def _start_rows(swept: Mapping) -> list[dict]:
    rows = []
    for point in points_of(swept, "start"):
        row = {"start": point["value"], "steps": point.get("steps"), "epochs": point.get("epochs")}
        row["best_epoch"] = point["best_epoch"] + 1 if point["segmentation"] else None
        for split in ("train", *_SPLITS):
            row |= {
                f"{split}_{name}": ((point["segmentation"] or {}).get(split) or {}).get(name) for name in _SEGMENTATION
            }
        rows.append({**row, **_difference(point.get("difference"), "p_value"), "note": point["note"]})
    return rows
