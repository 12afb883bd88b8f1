"""A run's sweeps as tables, figures, and trials for TensorBoard: what sweep.json holds in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.ticker import MaxNLocator

from rembrandt_featgen.measures.classification import THRESHOLD
from rembrandt_featgen.reporting import paper_figures, paper_tables, run_figures
from rembrandt_featgen.reporting.drawing import BLUE, GRADES, GREEN, GREY, Figure, canvas, floats, styled
from rembrandt_featgen.reporting.study_tables import csv_text

AXES = {
    "implementation": "Modes of the origin",
    "tap": "Source of features",
    "gan": "Kind of GAN",
    "filters": "Filters of the GAN (ndf = ngf)",
    "added": "Added to both grades",
    "balancing": "Added to the rarer grade",
    "added_HGG": "Added to HGG alone",
    "added_LGG": "Added to LGG alone",
}
CURVES = ("added", "balancing", "added_HGG", "added_LGG")
# Axes of a figure each: what it asks, and what its lines are.
_FORESTS = {
    "implementation": (
        "What do the origin's quirks do?",
        "with the modes named as in the original, the others correct",
    ),
    "tap": ("Does the decoder give better features?", "on the features of blocks of the U-Net, or of crops"),
    "gan": ("Which generator is better?", "with features by each kind of GAN"),
}
_UNITS = ("slice", "patient")
_SPLITS = ("validation", "test")
_MEASURES = ("accuracy_HGG", "accuracy_LGG", "balanced_accuracy")
_SEGMENTATION = ("soft_dice_loss", "hard_dice", "iou", "patient_hard_dice")


def tables(swept: Mapping) -> dict[str, str]:
    """Name to CSV of each table: "sweep" of features, "pretraining" of the U-Net's starts; those that have rows."""
    found = {"sweep": _sweep_rows(swept), "pretraining": _start_rows(swept)}
    return {name: csv_text(rows[0], [row.values() for row in rows]) for name, rows in found.items() if rows}


def compared(swept: Mapping) -> dict[str, list[dict]]:
    """Axis to its rows for a page: the point, what came of one arm ({} where it failed), the paper's class accuracy."""
    rows: dict[str, list[dict]] = {}
    for point in swept["points"]:
        if point["axis"] != "start":
            paper = paper_tables.CLASS_ACCURACY.get(_papers_filters(point)) if point["axis"] == "filters" else None
            found = [{"point": point, "own": own, "paper": paper} for own in point["arms"] or [{}]]
            rows.setdefault(point["axis"], []).extend(found)
    return rows


def drawn(swept: Mapping) -> dict[str, Figure]:
    """Name to figure, of those axes that the sweep has."""
    found = {}
    histories = {p["value"]: p["history"] for p in _of(swept, "filters") if p["history"]}
    if histories:
        found["figure_11"] = paper_figures.gan_sweep(histories)
    if any(_of(swept, axis) for axis in CURVES):
        found["figure_sweep_added"] = _added(swept)
    found |= {f"figure_sweep_{axis}": _forest(swept, axis) for axis in _FORESTS if _of(swept, axis)}
    starts = {p["value"]: p["history"] for p in _of(swept, "start") if p["segmentation"]}
    if starts:
        found["figure_pretraining"] = _starts(starts)
    return found


def trials(swept: Mapping) -> dict[str, tuple[dict, dict, Mapping]]:
    """Name of each trained point (and arm) to its settings, metrics and curves (of GAN or U-Net) for TensorBoard."""
    found = {}
    texts = ("axis", "start", "implementation", "tap", "gan", "filters", "arm")
    blank = {**dict.fromkeys(texts, ""), "added_HGG": 0, "added_LGG": 0}
    for point in swept["points"]:
        name = f"{point['axis']}={point['value']}"
        if point["axis"] == "start":
            if point["segmentation"]:
                measured = {
                    f"{split}/{key}": point["segmentation"][split][key]
                    for split in _SPLITS
                    for key in ("hard_dice", "iou")
                }
                settings = {**blank, "axis": "start", "start": point["value"]}
                found[name] = (settings, measured, point["history"])
            continue
        for own in point["arms"]:
            settings = point["settings"]
            given = {"axis": point["axis"], "filters": _filters(settings), "arm": own["arm"]}
            given |= {name: settings[name] for name in ("implementation", "tap", "gan")}
            given |= {f"added_{grade}": own["added"][grade] for grade in GRADES}
            measured = {
                f"{split}/balanced_accuracy_per_{unit}": own[split][unit]["balanced_accuracy"]
                for split in _SPLITS
                for unit in _UNITS
            }
            measured["validation/patient_log_loss"] = own["patient_log_loss"]
            measured |= {f"{split}/hard_dice": point["segmentation"][split]["hard_dice"] for split in _SPLITS}
            measured["class_accuracy_by_discriminator"] = (point["generator"] or {}).get("class_accuracy")
            # what is added is by the run's own GAN, whose curves need no copy
            drawn = point["history"] if own["arm"] == "augmented" and point["axis"] not in CURVES else {}
            found[f"{name}/{own['arm']}"] = ({**blank, **given}, measured, drawn)
    return found


def _of(swept: Mapping, axis: str) -> list[Mapping]:
    return [point for point in swept["points"] if point["axis"] == axis]


def _filters(settings: Mapping) -> str:
    ndf, ngf = settings["ndf"], settings["ngf"]
    return f"{ndf}" if ndf == ngf else f"ndf {ndf}, ngf {ngf}"


def _papers_filters(point: Mapping) -> int | None:
    """Filters of a GAN that is as the paper's but for their number: an ACGAN of conv5, ndf = ngf."""
    gan, tap, ndf, ngf = (point["settings"][name] for name in ("gan", "tap", "ndf", "ngf"))
    return ndf if (gan, tap, ndf) == ("acgan", "conv5", ngf) else None


def _sweep_rows(swept: Mapping) -> list[dict]:
    """Rows of equal keys, one for each point and arm; a point that failed has one, with its note."""
    rows = []
    for axis, members in compared(swept).items():
        for member in members:
            point, own = member["point"], member["own"]
            generator = point["generator"] or {}
            row = {"axis": axis, "value": point["value"], "arm": own.get("arm"), "classifier": own.get("classifier")}
            row |= {name: point["settings"][name] for name in ("implementation", "tap", "gan", "ndf", "ngf")}
            row |= {f"added_{grade}": (own.get("added") or {}).get(grade) for grade in GRADES}
            row |= {"generated": generator.get("generated"), "confirmed": generator.get("synthetic")}
            row |= {"class_accuracy_by_discriminator": generator.get("class_accuracy")}
            row |= {"paper_class_accuracy": member["paper"]}
            row |= {
                f"unet_{split}_hard_dice": point["segmentation"].get(split, {}).get("hard_dice") for split in _SPLITS
            }
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
    for axis in CURVES:
        points = [(point, own) for point in _of(swept, axis) for own in point["arms"]]
        if axis != "added" and points:  # all curves begin where nothing is added
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
    figure, axes = canvas((4.6 if len(curves) < 3 else 3.6) * len(curves), 5.6, len(_UNITS), len(curves))
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


def _forest(swept: Mapping, axis: str) -> Figure:
    """Balanced accuracy per test patient at each point of one axis."""
    question, lines = _FORESTS[axis]
    rows = [
        (f"{point['value']}, {own['arm']}{' (chosen)' if own['chosen'] else ''}", row["balanced_accuracy"])
        + tuple(row["ci95"]["balanced_accuracy"] or (None, None))
        for point in _of(swept, axis)
        for own in point["arms"]
        for row in [own["test"]["patient"]]
    ]
    names = ", ".join(point["value"] for point in _of(swept, axis))
    return Figure(
        run_figures.forest(rows, "Balanced accuracy per test patient, 95% interval", THRESHOLD),
        f"Balanced accuracy per test patient, {AXES[axis].lower()}: {names}.",
        f"{question} Balanced accuracy per test patient of CNNs {lines}, trained without (baseline) and with synthetic "
        "ones (augmented). Validation patients chose, for each arm, what is marked; differences to the run's own "
        "value, with p, stand in the table.",
    )


def _starts(histories: Mapping[str, Mapping]) -> Figure:
    panels = {
        "Soft-dice loss, training": "soft_dice_loss",
        "Hard dice, validation": "val_hard_dice",
        "IOU, validation": "val_iou",
    }
    return Figure(
        run_figures.training_curves(
            {title: {name: history[key] for name, history in histories.items()} for title, key in panels.items()}
        ),
        f"Training loss, and hard dice and IOU on validation slices, by epoch, of U-Nets {' and '.join(histories)}.",
        "Fine-tuning from pre-trained weights against training from scratch: on the same slices, at the same learning "
        "rate, for as many steps, unless patience (--unet_patience) ended one before; see the table.",
    )
