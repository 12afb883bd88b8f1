"""What report.json of a run holds, from the records of its stages; and the figures of its page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core import json_files
from rembrandt_featgen.evaluation import predictions
from rembrandt_featgen.features import crop_cnn, crops
from rembrandt_featgen.measures.power import chance
from rembrandt_featgen.reporting import gallery, run_figures, run_verdict, unet_figures
from rembrandt_featgen.reporting.drawing import Figure

_FEW_PATIENTS = 20  # of a class, below which intervals are wide
_POOR_DICE = 0.5
# Flags of evaluate_features that have no part in a run.
_NOT_OF_A_RUN = ("patient_column", "features", "synthetic", "plan", "cv_folds")
_OF_TRUE_CLASS = (  # words of the strip where there are more than two classes
    "Strip of dots for each arm: the probability of its true class of each test patient, coloured by that class.",
    "Each dot is a test patient at the probability of the patient's true class; 1 is right and sure.",
)


def collect(records: Mapping[str, Mapping], classes: Classes, study: Mapping | None = None) -> dict:
    """What report.json holds.

    Args:
      records: name of each stage to its stage.json.
      classes: of the run.
      study: report.json of the study of the run's features; None where there is none.
    """
    figures = {name: record["figures"] for name, record in records.items()}
    slices, classified = figures["prepare_slices"], figures["train_classifiers"]
    generated, difference = figures["generate_synthetic"], classified["comparison"]["cnn"]
    settings: dict = {}
    for name, record in records.items():
        shown = {} if name == "run_sweep" else record["config"]
        settings |= {flag: value for flag, value in shown.items() if flag not in _NOT_OF_A_RUN}
    if slices.get("fresh_patients"):  # they are the test, and no share of the others
        settings.pop("test_fraction", None)
    rows = classified["classification"]
    return json_files.plain(
        {
            "classes": classes.record,
            "cohort": {
                "patients": slices["patients"],
                "slices": slices["slices"],
                "split": slices["split"],
                "source": slices["source"],
                "empty_mask_patients": len(slices["empty_mask_patients"]),
                "spacing": slices.get("spacing"),
                "preparation": slices.get("preparation"),
            },
            "segmentation": figures["train_unet"]["segmentation"],
            "generator": {
                "kind": records["train_generators"]["kind"],
                **{key: generated[key] for key in ("synthetic", "generated", "acceptance", "class_accuracy")},
                "judge": generated.get("judge"),
                "tap": figures["extract_features"]["tap"],
                "feature_shape": figures["extract_features"]["shape"],
            },
            **(run_verdict.of_one_training(rows) if study is None else run_verdict.of_study(study)),
            "classification": rows,
            "comparison": difference,
            "paper_comparison": run_verdict.of_paper(difference),
            "warnings": warnings(records),
            "stages": {name: {"seconds": record["seconds"]} for name, record in records.items()},
            "versions": records["train_unet"]["versions"],
            "settings": settings,
        }
    )


def warnings(records: Mapping[str, Mapping]) -> list[str]:
    """What a careful reader should know before the numbers; `records` as `collect` takes them."""
    figures = {name: record["figures"] for name, record in records.items()}
    lines = []
    for name, count in figures["prepare_slices"]["split"]["test"]["patients"].items():
        if count < _FEW_PATIENTS:
            lines.append(
                f"Only {count} test patients are {name}: intervals are wide, and one more correct patient changes the "
                f"accuracy of {name} by {1 / max(count, 1):.2f}."
            )
    lines.append("One split, one U-Net and one generator: others can give other answers.")
    if figures["extract_features"].get("tap") == crops.TAP:
        lines.append(crop_cnn.WARNING)
    dice = figures["train_unet"]["segmentation"]["test"]["patient_hard_dice"]  # of slices, empty ones hide a failure
    if dice is not None and dice < _POOR_DICE:
        lines.append(
            f"The U-Net segments poorly (mean dice of test volumes {dice:.2f}), so its features may say little about "
            "the tumour."
        )
    if collapsed := unet_figures.collapse_sentence(figures["train_unet"].get("collapses", ())):
        lines.append(collapsed)
    last = figures["train_unet"].get("epochs", records["train_unet"]["config"]["unet_epochs"])
    if figures["train_unet"]["best_epoch"] + 1 == last:
        lines.append("The U-Net's last epoch was its best: it may improve with more --unet_epochs (or --unet_steps).")
    wanted = records["generate_synthetic"]["config"]["synthetic_per_class"]
    for name, kept in figures["generate_synthetic"]["kept"].items():
        if kept < wanted:
            lines.append(f"Only {kept} of {wanted} wanted synthetic {name} features were accepted.")
    prepared = figures["prepare_slices"]
    if "warnings" in prepared:
        return lines + [f"{sentence[0].upper()}{sentence[1:]}." for sentence in prepared["warnings"]]
    if prepared["tumour_cut_off"]:  # as earlier versions recorded it
        lines.append(f"--image_size cuts off tumour of {', '.join(prepared['tumour_cut_off'])}.")
    return lines


def figures_of_page(
    folders: Mapping[str, Path], records: Mapping[str, Mapping], *, report: Mapping, classes: Classes
) -> dict[str, Figure | bytes]:
    """The figures of the page, by names of which `run_page.render` knows the beginnings.

    Args:
      folders, records: name of each stage to its folder and its stage.json.
      report: what report.json holds.
      classes: of the run.
    """
    overlays = folders["train_unet"] / "overlays.npz"
    shown: dict[str, Figure | bytes] = {"overlays": unet_figures.shown_slices(overlays, classes)}
    if worst := unet_figures.worst_volumes(overlays, classes):
        shown["overlays_worst"] = worst
    in_sections = {"figure_06": "unet_curves", "figure_11": "gan_curves"}
    for class_name, number in gallery.numbers_of_classes(classes.positive_first).items():
        in_sections[f"figure_{number:02}"] = f"feature_maps_{class_name}"
    for name, words in records["draw_figures"]["figures"]["figures"].items():
        png = (folders["draw_figures"] / f"{name}.png").read_bytes()
        shown[in_sections.get(name, name)] = Figure(png, words["alt"], words["caption"])
    rows = []
    for row in report["classification"]:
        if row["unit"] == "patient":
            low, high = row["ci95"]["balanced_accuracy"]
            rows.append((f"{row['arm']}, {row['classifier']}", row["balanced_accuracy"], low, high))
    shown["forest"] = run_figures.forest(rows, "Balanced accuracy per patient, 95% interval", chance(classes.count))
    by_arm, truths = _patient_probabilities(folders["train_classifiers"] / predictions.FILE, classes)
    strip = run_figures.probability_strip(by_arm, truths, classes)
    shown["strip"] = strip if classes.count == 2 else Figure(strip, *_OF_TRUE_CLASS)
    return shown


def _patient_probabilities(path: Path, classes: Classes) -> tuple[dict[str, np.ndarray], list[str]]:
    """Probabilities of the test patients by arm and classifier, and the patients' classes.

    Of two classes the probability is that of the positive one; of more, that of the patient's true class.
    """
    by_arm, labels = {}, np.zeros(0, int)
    for (arm, classifier), table in predictions.read(path).split("arm", "classifier"):
        _, labels, probabilities = table.by_patient()
        shown = np.ones_like(labels) if classes.count == 2 else labels
        by_arm[f"{arm}, {classifier}"] = probabilities[np.arange(len(labels)), shown]
    return by_arm, [classes.names[label] for label in labels]
