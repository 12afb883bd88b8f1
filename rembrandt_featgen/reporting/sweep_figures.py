"""Figures of a run's sweeps: what sweep.json holds in, figures with their words out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.ticker import MaxNLocator

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.measures.power import chance
from rembrandt_featgen.reporting import paper_figures, run_figures, sweep_tables
from rembrandt_featgen.reporting.drawing import BLUE, GREEN, GREY, Figure, canvas, class_marks, floats, styled

# Axes of a figure each: what it asks, and what its lines are.
_FORESTS = {
    "implementation": (
        "What do the quirks of the reference implementation do?",
        "with the named modes, as in the reference implementation unless another is said; all others correct",
    ),
    "tap": ("Does the decoder give better features?", "on the features of blocks of the U-Net, or of crops"),
    "gan": ("Which generator is better?", "with features by each kind of GAN"),
}
_UNITS = ("slice", "patient")


def draw(swept: Mapping, classes: Classes) -> dict[str, Figure]:
    """Name to figure, of those axes that the sweep has."""
    figures = {}
    histories = {p["value"]: p["history"] for p in sweep_tables.points_of(swept, "filters") if p["history"]}
    if histories:
        figures["figure_11"] = paper_figures.gan_sweep(histories)
    if any(sweep_tables.points_of(swept, axis) for axis in sweep_tables.curve_axes(classes.names)):
        figures["figure_sweep_added"] = _added(swept, classes)
    for axis in _FORESTS:
        if sweep_tables.points_of(swept, axis):
            figures[f"figure_sweep_{axis}"] = _forest(swept, axis, chance(classes.count))
    starts = {p["value"]: p["history"] for p in sweep_tables.points_of(swept, "start") if p["segmentation"]}
    if starts:
        figures["figure_pretraining"] = _starts(starts)
    return figures


def _added(swept: Mapping, classes: Classes) -> Figure:
    names, titles = classes.positive_first, sweep_tables.axes(classes.positive_first)
    base = [one for p in sweep_tables.points_of(swept, "added") if p["reference"] for one in p["arms"]]
    curves: dict[str, list[tuple[int, Mapping]]] = {}
    for axis in sweep_tables.curve_axes(names):
        results = [one for point in sweep_tables.points_of(swept, axis) for one in point["arms"]]
        if axis != "added" and results:  # all curves begin where nothing is added
            results = base + results
        if results:
            counted = [(sum(one["added"].values()), one) for one in results]
            curves[titles[axis]] = sorted(counted, key=lambda pair: pair[0])
    chosen: Mapping = next((one["added"] for points in curves.values() for _, one in points if one["chosen"]), {})
    return Figure(
        _draw_added(curves, names),
        f"Accuracy of {' and '.join(names)} and balanced accuracy by the number of synthetic features added, per slice "
        f"and per patient, {' and '.join(title.lower() for title in curves)}.",
        "Accuracy by the number of synthetic features added. The dotted line is the number that validation patients "
        f"chose ({sum(chosen.values())}; their balanced accuracy is the thin line). The other lines are of test "
        "patients, who were predicted once by each network and chose nothing. The band is the 95% interval over "
        "patients.",
    )


@styled
def _draw_added(curves: Mapping[str, Sequence[tuple[int, Mapping]]], names: Sequence[str]):
    """A row of panels for each unit, a column for each axis.

    Args:
      curves: title of an axis to numbers of added features and results.
      names: of the classes, the positive one first.
    """
    figure, axes = canvas((4.6 if len(curves) < 3 else 3.6) * len(curves), 5.6, rows=len(_UNITS), columns=len(curves))
    lines = {name: (colour, marker, "--") for name, (colour, marker) in class_marks(names).items()}
    lines["balanced"] = (GREEN if len(names) == 2 else "black", "s", "-")  # green is the third class's
    for unit, row in zip(_UNITS, axes):
        for ax, (title, points) in zip(row, curves.items()):
            x = [count for count, _ in points]
            tested = [result["test"][unit] for _, result in points]
            for name, (colour, marker, style) in lines.items():
                values = [one["balanced_accuracy"] if name == "balanced" else one["accuracy"][name] for one in tested]
                ax.plot(x, floats(values), style, marker=marker, color=colour, lw=1.8, ms=4, label=name)
            bounds = floats([one["ci95"]["balanced_accuracy"] or (None, None) for one in tested])
            ax.fill_between(x, bounds[:, 0], bounds[:, 1], color=GREEN, alpha=0.15, lw=0)
            validation = [result["validation"][unit]["balanced_accuracy"] for _, result in points]
            ax.plot(x, floats(validation), color=BLUE, lw=0.9, label="balanced, validation")
            for count, result in points:
                if result["chosen"]:
                    ax.axvline(count, color=GREY, lw=1.2, ls=(0, (1, 2)), label="chosen")
            ax.axhline(chance(len(names)), color=GREY, lw=0.8, ls="--")
            ax.set(title=f"{title}, per {unit}", ylim=(-0.03, 1.03), xlabel="synthetic features added")
            ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes[0, 0].set_ylabel("accuracy")
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=5, fontsize=8)
    return figure


def _forest(swept: Mapping, axis: str, level: float) -> Figure:
    """Balanced accuracy per test patient at each point of one axis."""
    question, lines = _FORESTS[axis]
    points, rows = sweep_tables.points_of(swept, axis), []
    for point in points:
        for result in point["arms"]:
            row = result["test"]["patient"]
            name = f"{point['value']}, {result['arm']}{' (chosen)' if result['chosen'] else ''}"
            low, high = row["ci95"]["balanced_accuracy"] or (None, None)
            rows.append((name, row["balanced_accuracy"], low, high))
    names = ", ".join(point["value"] for point in points)
    return Figure(
        run_figures.forest(rows, "Balanced accuracy per test patient, 95% interval", level),
        f"Balanced accuracy per test patient, {sweep_tables.axes(())[axis].lower()}: {names}.",
        f"{question} Balanced accuracy per test patient of CNNs {lines}, trained without (baseline) and with synthetic "
        "ones (augmented). Validation patients chose, for each arm, what is marked; the table has the differences to "
        "the value of the run, with p.",
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
        "rate, for as many steps, unless patience (--unet_patience) ended one earlier; see the table.",
    )
