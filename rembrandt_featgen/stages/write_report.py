"""Gathers what the stages found into report.json and a self-contained index.html with a verdict."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
from absl import logging

from rembrandt_featgen import stages
from rembrandt_featgen.classification import classifiers
from rembrandt_featgen.cohort.layouts import GRADES
from rembrandt_featgen.core import cli, registry, rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import comparison, predictions
from rembrandt_featgen.features import crop_cnn, crops
from rembrandt_featgen.reporting import run_figures, run_page
from rembrandt_featgen.reporting.drawing import Figure
from rembrandt_featgen.stages import shared_flags

# Figures of the paper that stand in a section of the page, by the names of its places; the others come together.
_IN_SECTIONS = {
    "figure_06": "unet_curves",
    "figure_09": "feature_maps_HGG",
    "figure_10": "feature_maps_LGG",
    "figure_11": "acgan_curves",
}


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the stage."""

    run_dir: str = shared_flags.run_dir()
    generators: tuple[str, ...] = shared_flags.generators()
    report_title: str = shared_flags.report_title()


def run(config: Config) -> None:
    """Writes run_dir/report: report.json, index.html, and copies of the figures and tables beside it."""
    config = shared_flags.with_first_generator(config)
    (kind,) = config.generators
    found = rundir.find_inputs(config.run_dir, "write_report", kind, optional=["run_sweep"])
    folders = {name: entry.folder for name, entry in found.items()}
    records = {name: entry.record for name, entry in found.items()}
    if set(records["train_classifiers"]["figures"]["comparison"]) != set(classifiers.KINDS):
        raise InputError(
            f"--run_dir={config.run_dir}: its classifiers/ has not all arms and classifiers that a report compares; "
            f"leave out --classifier_arms and --classifier_kinds, and delete {folders['classifier']}"
        )
    with rundir.open_stage(config, "write_report", list(found.values())) as stage:
        if stage.done:
            return
        report = _report(records)
        if "run_sweep" in found:
            swept = rundir.read_json(folders["run_sweep"] / "sweep.json")
            report["sweep"] = {**swept, "points": [{**point, "history": None} for point in swept["points"]]}
        rundir.write_json(stage.path / "report.json", report)
        title = config.report_title or Path(config.run_dir).resolve().name
        context = {"title": title, "links": _copy(folders["draw_figures"], stage.path)}
        page = run_page.render(report, _figures(folders, records, report), context)
        (stage.path / "index.html").write_text(page, encoding="utf-8")
        stage.complete(verdict=report["verdict"])
        logging.info("report: %s", Path(config.run_dir) / registry.folder("write_report") / "index.html")


def _copy(drawn: Path, folder: Path) -> dict[str, str]:
    """Copies the drawn figures and tables into `folder`/figures and `folder`/tables; returns links to the tables."""
    for kind, ending in (("figures", "png"), ("tables", "csv")):
        (folder / kind).mkdir(exist_ok=True)
        for path in sorted(drawn.glob(f"*.{ending}")):
            shutil.copyfile(path, folder / kind / path.name)
    return {f"tables/{path.name}": f"tables/{path.name}" for path in sorted(drawn.glob("*.csv"))}


def _report(records) -> dict:
    """What report.json holds; DESIGN.md lists the keys."""
    figures = {name: record["figures"] for name, record in records.items()}
    slices, found = figures["prepare_slices"], figures["train_classifiers"]
    difference = found["comparison"]["cnn"]
    settings = {
        key: value
        for record in records.values()
        if record["stage"] != "run_sweep"
        for key, value in record["config"].items()
    }
    return rundir.plain(
        {
            "cohort": {
                "patients": slices["patients"],
                "slices": slices["slices"],
                "split": slices["split"],
                "source": slices["source"],
                "empty_mask_patients": len(slices["empty_mask_patients"]),
            },
            "segmentation": figures["train_unet"]["segmentation"],
            "generator": {
                "kind": records["train_generators"]["kind"],
                **{
                    key: figures["generate_synthetic"][key]
                    for key in ("synthetic", "generated", "acceptance", "class_accuracy")
                },
                "tap": figures["extract_features"]["tap"],
                "feature_shape": figures["extract_features"]["shape"],
            },
            "classification": found["classification"],
            "comparison": difference,
            "verdict": comparison.verdict(found["classification"], difference),
            "verdict_rule": comparison.VERDICT_RULE,
            "warnings": _warnings(records, figures),
            "stages": {record["stage"]: {"seconds": record["seconds"]} for record in records.values()},
            "versions": records["train_unet"]["versions"],
            "settings": settings,
        }
    )


def _warnings(records, figures) -> list[str]:
    """What a careful reader should know before the numbers."""
    lines = []
    for grade, count in figures["prepare_slices"]["split"]["test"]["patients"].items():
        if count < 20:
            lines.append(
                f"Only {count} test patients are {grade}: intervals are wide, and one patient more or less right moves "
                f"the accuracy of {grade} by {1 / max(count, 1):.2f}."
            )
    lines.append("One split and one seed: another of either can give another answer.")
    if figures["extract_features"].get("tap") == crops.TAP:
        lines.append(crop_cnn.WARNING)
    dice = figures["train_unet"]["segmentation"]["test"]["hard_dice"]
    if dice < 0.5:
        lines.append(
            f"The U-Net segments poorly (test hard dice {dice:.2f}), so its features may tell little of the tumour."
        )
    if figures["train_unet"]["best_epoch"] + 1 == records["train_unet"]["config"]["unet_epochs"]:
        lines.append("The U-Net's last epoch was its best: with more --unet_epochs it may become better.")
    wanted = records["generate_synthetic"]["config"]["synthetic_per_class"]
    for grade, kept in figures["generate_synthetic"]["kept"].items():
        if kept < wanted:
            lines.append(f"Only {kept} of {wanted} wanted synthetic {grade} features were confirmed.")
    if figures["prepare_slices"]["tumour_cut_off"]:
        lines.append(f"--image_size cuts off tumour of {', '.join(figures['slices']['tumour_cut_off'])}.")
    return lines


def _figures(folders, records, report) -> dict[str, Figure | bytes]:
    """The report's figures by name."""
    overlays = np.load(folders["train_unet"] / "overlays.npz")
    titles = [
        f"{patient}, {GRADES[label]}, dice {dice:.2f}"
        for patient, label, dice in zip(overlays["patients"], overlays["labels"], overlays["dice"])
    ]
    shown = {
        "overlays": Figure(
            run_figures.segmentation_overlays(overlays["images"], overlays["truths"], overlays["predictions"], titles),
            "FLAIR slices of test patients with the contours of the true and of the predicted tumour.",
            "The slice with most tumour of the first test patients; how good the U-Net is, the table says.",
        )
    }
    for name, words in records["draw_figures"]["figures"]["figures"].items():
        png = (folders["draw_figures"] / f"{name}.png").read_bytes()
        shown[_IN_SECTIONS.get(name, name)] = Figure(png, words["alt"], words["caption"])
    patients = [row for row in report["classification"] if row["unit"] == "patient"]
    shown["forest"] = run_figures.forest(
        [
            (f"{row['arm']}, {row['classifier']}", row["balanced_accuracy"], *row["ci95"]["balanced_accuracy"])
            for row in patients
        ],
        "Balanced accuracy per patient, 95% interval",
        0.5,
    )
    shown["strip"] = run_figures.probability_strip(
        *_patient_probabilities(folders["train_classifiers"] / predictions.FILE)
    )
    return shown


def _patient_probabilities(path: Path):
    """Probability of the positive class of each test patient by arm, and the patients' classes."""
    rows, by_arm, truth = predictions.read(path), {}, []
    for arm, classifier in dict.fromkeys((row.arm, row.classifier) for row in rows):
        _, truth, by_arm[f"{arm}, {classifier}"] = predictions.by_patient(predictions.of_network(rows, arm, classifier))
    return by_arm, [GRADES[label] for label in truth]


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, __doc__, stages.all_flags)


if __name__ == "__main__":
    main()
