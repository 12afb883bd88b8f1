"""A run's sweeps as tables, figures, and trials for TensorBoard: what sweep.json holds in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.ticker import MaxNLocator

from rembrandt_featgen.metrics.classification import THRESHOLD
from rembrandt_featgen.reporting import figures, paper_figures
from rembrandt_featgen.reporting.drawing import BLUE, GRADES, GREEN, GREY, Figure, canvas, floats, styled
from rembrandt_featgen.reporting.tables import csv_text

AXES = {
    "tap": "Source of features",
    "filters": "Filters of the GAN (ndf = ngf)",
    "added": "Added to both grades",
    "balancing": "Added to the rarer grade",
}
_CURVES = ("added", "balancing")
_UNITS = ("slice", "patient")
_SPLITS = ("validation", "test")
_MEASURES = ("accuracy_HGG", "accuracy_LGG", "balanced_accuracy")
_SEGMENTATION = ("soft_dice_loss", "hard_dice", "iou", "patient_hard_dice")


def tables(swept: Mapping) -> dict[str, str]:
    """Name to CSV of each table: "sweep" of features, "pretraining" of the U-Net's starts; those that have rows."""
    found = {"sweep": _sweep_rows(swept), "pretraining": _start_rows(swept)}
    return {name: csv_text(rows[0], [row.values() for row in rows]) for name, rows in found.items() if rows}


def compared(swept: Mapping) -> dict[str, list[dict]]:
    """Axis to its rows for a page: the point, and what came of one arm ({} where the point failed)."""
    rows: dict[str, list[dict]] = {}
    for point in swept["points"]:
        if point["axis"] != "start":
            rows.setdefault(point["axis"], []).extend({"point": point, "own": own} for own in point["arms"] or [{}])
    return rows


def drawn(swept: Mapping) -> dict[str, Figure]:
    """Name to figure, of those axes that the sweep has."""
    found = {}
    histories = {p["value"]: p["history"] for p in _of(swept, "filters") if p["history"]}
    if histories:
        found["figure_11"] = paper_figures.gan_sweep(histories)
    if any(_of(swept, axis) for axis in _CURVES):
        found["figure_sweep_added"] = _added(swept)
    if _of(swept, "tap"):
        found["figure_sweep_tap"] = _taps(swept)
    starts = {p["value"]: p["history"] for p in _of(swept, "start") if p["segmentation"]}
    if starts:
        found["figure_pretraining"] = _starts(starts)
    return found


def trials(swept: Mapping) -> dict[str, tuple[dict, dict]]:
    """Name of each trained point (and arm) to its settings and its metrics, for TensorBoard."""
    found = {}
    blank = {"axis": "", "start": "", "tap": "", "filters": "", "arm": "", "added_HGG": 0, "added_LGG": 0}
    for point in swept["points"]:
        name = f"{point['axis']}={point['value']}"
        if point["axis"] == "start":
            if point["segmentation"]:
                measured = {
                    f"{split}/{key}": point["segmentation"][split][key]
                    for split in _SPLITS
                    for key in ("hard_dice", "iou")
                }
                found[name] = ({**blank, "axis": "start", "start": point["value"]}, measured)
            continue
        for own in point["arms"]:
            settings = point["settings"]
            given = {"axis": point["axis"], "tap": settings["tap"], "filters": _filters(settings), "arm": own["arm"]}
            given |= {f"added_{grade}": own["added"][grade] for grade in GRADES}
            measured = {
                f"{split}/balanced_accuracy_per_{unit}": own[split][unit]["balanced_accuracy"]
                for split in _SPLITS
                for unit in _UNITS
            }
            measured["validation/patient_log_loss"] = own["patient_log_loss"]
            measured["class_accuracy_by_discriminator"] = (point["generator"] or {}).get("class_accuracy")
            found[f"{name}/{own['arm']}"] = ({**blank, **given}, measured)
    return found


def _of(swept: Mapping, axis: str) -> list[Mapping]:
    return [point for point in swept["points"] if point["axis"] == axis]


def _filters(settings: Mapping) -> str:
    ndf, ngf = settings["ndf"], settings["ngf"]
    return f"{ndf}" if ndf == ngf else f"ndf {ndf}, ngf {ngf}"


def _sweep_rows(swept: Mapping) -> list[dict]:
    """Rows of equal keys, one for each point and arm; a point that failed has one, with its note."""
    rows = []
    for axis, members in compared(swept).items():
        for member in members:
            point, own = member["point"], member["own"]
            generator = point["generator"] or {}
            row = {"axis": axis, "value": point["value"], "arm": own.get("arm"), "classifier": own.get("classifier")}
            row |= {name: point["settings"][name] for name in ("tap", "ndf", "ngf")}
            row |= {f"added_{grade}": (own.get("added") or {}).get(grade) for grade in GRADES}
            row |= {"generated": generator.get("generated"), "confirmed": generator.get("synthetic")}
            row |= {"class_accuracy_by_discriminator": generator.get("class_accuracy")}
            row |= {"validation_patient_log_loss": own.get("patient_log_loss"), "chosen": own.get("chosen")}
            for split in _SPLITS:
                for unit in _UNITS:
                    row |= _measured(f"{split}_{unit}", (own.get(split) or {}).get(unit))
            row |= _difference(own.get("difference"), "p_adjusted")
            rows.append({**row, "reference": point["reference"], "note": point["note"]})
    return rows


def _measured(start: str, row: Mapping | None) -> dict:
    """Measures of a row of the classification table, with intervals, under names that begin alike."""
    found: dict = {}
    for name in _MEASURES:
        value, bounds = None, (None, None)
        if row:
            value = row["accuracy"][name[-3:]] if name.startswith("accuracy") else row[name]
            bounds = row["ci95"].get(name) or bounds
        found |= {f"{start}_{name}": value}
        found |= dict(zip((f"{start}_{name}_ci95_low", f"{start}_{name}_ci95_high"), bounds))
    return found


def _difference(found: Mapping | None, p: str) -> dict:
    low, high = (found or {}).get("ci95") or (None, None)
    values = {"difference": (found or {}).get("difference"), "difference_ci95_low": low, "difference_ci95_high": high}
    return {**values, p: (found or {}).get(p)}


def _start_rows(swept: Mapping) -> list[dict]:
    rows = []
    for point in _of(swept, "start"):
        row = {"start": point["value"], "steps": point.get("steps"), "epochs": point.get("epochs")}
        row["best_epoch"] = point["best_epoch"] + 1 if point["segmentation"] else None
        for split in ("train", *_SPLITS):
            row |= {
                f"{split}_{name}": ((point["segmentation"] or {}).get(split) or {}).get(name) for name in _SEGMENTATION
            }
        rows.append({**row, **_difference(point.get("difference"), "p_value"), "note": point["note"]})
    return rows


def _added(swept: Mapping) -> Figure:
    curves: dict[str, list] = {}
    for axis in _CURVES:
        points = [(point, own) for point in _of(swept, axis) for own in point["arms"]]
        if axis != "added" and points:  # both curves begin where nothing is added
            points = [(p, own) for p in _of(swept, "added") if p["reference"] for own in p["arms"]] + points
        if points:
            counted = [(sum(own["added"].values()), own) for _, own in points]
            curves[axis] = sorted(counted, key=lambda pair: pair[0])
    chosen = next((own["added"] for points in curves.values() for _, own in points if own["chosen"]), {})
    return Figure(
        _draw_added(curves),
        "Accuracy of HGG and LGG and balanced accuracy by the number of synthetic features added, per slice and per "
        f"patient, {' and '.join(AXES[axis].lower() for axis in curves)}.",
        "Accuracy by the number of synthetic features added. The dotted line is the number that validation patients "
        f"chose ({sum(chosen.values())}; their balanced accuracy is the thin line); test patients, of whom the other "
        "lines are, were predicted once by each network and chose nothing. The band is the 95% interval over patients.",
    )


@styled
def _draw_added(curves: Mapping[str, Sequence[tuple[int, Mapping]]]):
    """A row of panels for each unit, a column for each axis."""
    figure, axes = canvas(4.6 * len(curves), 5.6, len(_UNITS), len(curves))
    lines = {"HGG": (*GRADES["HGG"], "--"), "LGG": (*GRADES["LGG"], "--"), "balanced": (GREEN, "s", "-")}
    for unit, row in zip(_UNITS, axes):
        for ax, (axis, points) in zip(row, curves.items()):
            x = [count for count, _ in points]
            found = [own["test"][unit] for _, own in points]
            for name, (colour, marker, style) in lines.items():
                values = [one["balanced_accuracy"] if name == "balanced" else one["accuracy"][name] for one in found]
                ax.plot(x, floats(values), style, marker=marker, color=colour, lw=1.8, ms=4, label=name)
            bounds = floats([one["ci95"]["balanced_accuracy"] or (None, None) for one in found])
            ax.fill_between(x, bounds[:, 0], bounds[:, 1], color=GREEN, alpha=0.15, lw=0)
            validation = [own["validation"][unit]["balanced_accuracy"] for _, own in points]
            ax.plot(x, floats(validation), color=BLUE, lw=0.9, label="balanced, validation")
            for count, own in points:
                if own["chosen"]:
                    ax.axvline(count, color=GREY, lw=1.2, ls=(0, (1, 2)), label="chosen")
            ax.axhline(THRESHOLD, color=GREY, lw=0.8, ls="--")
            ax.set(title=f"{AXES[axis]}, per {unit}", ylim=(-0.03, 1.03), xlabel="synthetic features added")
            ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes[0, 0].set_ylabel("accuracy")
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=5, fontsize=8)
    return figure


def _taps(swept: Mapping) -> Figure:
    rows = [
        (f"{point['value']}, {own['arm']}{' (chosen)' if own['chosen'] else ''}", row["balanced_accuracy"])
        + tuple(row["ci95"]["balanced_accuracy"] or (None, None))
        for point in _of(swept, "tap")
        for own in point["arms"]
        for row in [own["test"]["patient"]]
    ]
    names = ", ".join(point["value"] for point in _of(swept, "tap"))
    return Figure(
        figures.forest(rows, "Balanced accuracy per test patient, 95% interval", THRESHOLD),
        f"Balanced accuracy per test patient with features of {names}, with and without synthetic ones.",
        "Does the decoder give better features? Balanced accuracy per test patient of CNNs on the features of blocks "
        "of the U-Net, without (baseline) and with synthetic ones (augmented). Validation patients chose, for each "
        "arm, what is marked; differences to the run's own block, with p, stand in the table.",
    )


def _starts(histories: Mapping[str, Mapping]) -> Figure:
    panels = {
        "Soft-dice loss, training": "soft_dice_loss",
        "Hard dice, validation": "val_hard_dice",
        "IOU, validation": "val_iou",
    }
    return Figure(
        figures.training_curves(
            {title: {name: history[key] for name, history in histories.items()} for title, key in panels.items()}
        ),
        f"Training loss, and hard dice and IOU on validation slices, by epoch, of U-Nets {' and '.join(histories)}.",
        "Fine-tuning from pre-trained weights against training from scratch: on the same slices, at the same learning "
        "rate, for as many steps, unless patience (--unet_patience) ended one before; see the table.",
    )
