"""Draws every figure of the paper from the artifacts of a run, and writes its tables beside the paper's numbers.

Besides, what the networks look at and look for (tf-keras-vis), and a cloud of real and synthetic features for
TensorBoard's projector.
"""

from __future__ import annotations

import dataclasses
import functools
import shutil
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import logging
from tqdm import tqdm

from rembrandt_featgen import stages
from rembrandt_featgen.cohort.layouts import GRADES
from rembrandt_featgen.core import cli, rundir
from rembrandt_featgen.data import augmentation, pipelines
from rembrandt_featgen.features import crops
from rembrandt_featgen.generation import gan_export
from rembrandt_featgen.generation.gan_kinds import KINDS
from rembrandt_featgen.interpretation import attribution, samples
from rembrandt_featgen.interpretation.artifacts import SYNTHETIC, Artifacts
from rembrandt_featgen.nn import tensorboard
from rembrandt_featgen.reporting import attribution_figures, paper_figures, paper_tables, sweep_figures
from rembrandt_featgen.reporting.drawing import Figure
from rembrandt_featgen.reporting.panels import grid
from rembrandt_featgen.segmentation import initial, losses, tensorlayer_files, unet
from rembrandt_featgen.stages import shared_flags

_OF_A_VOLUME = 6  # slices
_DRAWN = 5  # slices of each grade by a generator of these
_GRADES = ("HGG", "LGG")  # in the order of the figures


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the stage."""

    run_dir: str = shared_flags.run_dir()
    seed: int = shared_flags.seed()
    generators: tuple[str, ...] = shared_flags.generators()
    projector_points: int = cli.flag(2000, "Features, real and synthetic, in TensorBoard's projector.", minimum=10)
    maximisation_steps: int = cli.flag(100, "Steps of gradient ascent in activation maximisation.", minimum=1)


def run(config: Config) -> None:
    """Writes run_dir/figures: a PNG for each figure, a CSV for each table; and TensorBoard's images and projector."""
    of_images = [name for name in shared_flags.check_generators(config) if KINDS[name].of_images]
    config = shared_flags.with_first_generator(config)
    (kind,) = config.generators
    found = rundir.find_inputs(config.run_dir, "draw_figures", kind, optional=["run_sweep"])
    folders = {name: entry.folder for name, entry in found.items()}
    records = {name: entry.record for name, entry in found.items()}
    swept = _sweep(folders.get("run_sweep"))
    makers = {name: rundir.find(config.run_dir, "train_generators", name) for name in of_images}
    inputs = {entry.folder: entry for entry in [*found.values(), *makers.values()]}
    with rundir.open_stage(config, "draw_figures", list(inputs.values())) as stage:
        if stage.done:
            return
        pipelines.set_seed(config.seed)
        run = Artifacts(folders, records, config.projector_points, config.seed)
        figures = {
            **_FIGURES,
            "figure_activation_maximisation": functools.partial(
                _activation_maximisation, steps=config.maximisation_steps
            ),
        }
        for name, (folder, record, _) in makers.items():
            figures[f"figure_{name}"] = functools.partial(_generated_slices, folder=folder, record=record)
        drawn = {name: draw(run) for name, draw in tqdm(figures.items(), "figures", unit="figure")}
        of_sweep = sweep_figures.drawn(swept)
        if "figure_11" in of_sweep:  # the paper's is that of the sweep
            drawn["figure_11_run"] = drawn["figure_11"]
        drawn |= of_sweep
        for name, figure in drawn.items():
            (stage.path / f"{name}.png").write_bytes(figure.png)
        trained = records["train_unet"]["config"]
        tables = {
            "table_1": paper_tables.table_1(
                augmentation.TABLE_1 if trained["augment"] else None, trained["augmentation"] == "reference"
            ),
            "table_2": paper_tables.table_2(records["train_unet"]["figures"]["segmentation"]),
            "table_3": paper_tables.table_3(records["train_classifiers"]["figures"]["classification"]),
            **sweep_figures.tables(swept),
        }
        for name, text in tables.items():
            (stage.path / f"{name}.csv").write_text(text, encoding="utf-8")
        tensorboard.write_images(
            stage.logs,
            {name: figure.png for name, figure in drawn.items()},
            {name: figure.caption for name, figure in drawn.items()},
        )
        _write_projector(run.points, stage.logs.parent / "projector")
        stage.complete(
            figures={name: {"alt": figure.alt, "caption": figure.caption} for name, figure in drawn.items()},
            tables=list(tables),
        )
        logging.info("figures: %d figures and %d tables", len(drawn), len(tables))


def _sweep(folder: Path | None) -> dict:
    """What sweep.json holds, if the run has one."""
    return {"points": []} if folder is None else rundir.read_json(folder / "sweep.json")


def _sample_slices(run: Artifacts) -> Figure:
    found = run.slices("train")
    titles = [f"{GRADES[label]}\n{patient}" for patient, label in zip(found.patients, found.labels)]
    return paper_figures.sample_slices(found.images[..., 0], found.masks, titles)


def _volumes(run: Artifacts) -> Figure:
    images, masks = {}, {}
    for grade in _GRADES:
        for patient in samples.patients(run.folders["prepare_slices"], "train", GRADES.index(grade), 1):
            found = samples.volume(run.folders["prepare_slices"], "train", patient)
            spaced = np.unique(np.linspace(0, len(found.patients) - 1, _OF_A_VOLUME).astype(int))
            for channel, modality in enumerate(run.records["prepare_slices"]["figures"]["modalities"]):
                name = f"{grade}, {patient}, {modality}"
                images[name], masks[name] = found.images[spaced, ..., channel], found.masks[spaced]
    return paper_figures.volumes(images, masks)


def _augmentations(run: Artifacts) -> Figure:
    found, trained = run.slices("train", 1), run.records["train_unet"]["config"]
    images, masks, names = samples.augmented(
        found.images[0], found.masks[0], run.seed, augmentation=trained["augmentation"]
    )
    origin = trained["augmentation"] == "reference"
    return paper_figures.augmentations(images[..., 0], masks, names, trained["augment"], origin)


def _unet_curves(run: Artifacts) -> Figure:
    history = rundir.read_json(run.folders["train_unet"] / "history.json")
    return paper_figures.unet_curves(history, run.records["train_unet"]["figures"]["best_epoch"])


def _before_and_after(run: Artifacts) -> Figure:
    found, record = run.slices("test"), run.records["train_unet"]
    path, networks = record["config"]["unet_weights"], {}
    note = "No --unet_weights was given: the initial weights are random."
    if not path:
        networks["initial"] = initial.unet(record["config"], run.records["prepare_slices"]["figures"])
    elif not Path(path).expanduser().is_file():
        note = f"The pre-trained weights are not shown, for {path} is not there any more."
        logging.warning("figure_07: %s", note)
    else:
        checkpoint = tensorlayer_files.read(Path(path).expanduser())
        networks["pre-trained"] = initial.unet(
            record["config"], run.records["prepare_slices"]["figures"], checkpoint.arrays
        )
        changed = checkpoint.digest != record["inputs"]["unet_weights"]
        note = f"Pre-trained weights: {path}" + (", which has changed since." if changed else ".")
    predictions, titles = {}, []
    for name, network in {**networks, "fine-tuned": run.unet}.items():
        probability = network.predict(found.images, batch_size=4, verbose=0)
        dice = losses.hard_dice(tf.cast(found.masks[..., None], tf.float32), tf.constant(probability)).numpy()
        titles.append([f"{p}, {GRADES[k]}\ndice {d:.2f}" for p, k, d in zip(found.patients, found.labels, dice)])
        predictions[name] = probability[..., 0]
    return paper_figures.before_and_after(found.images[..., 0], found.masks, predictions, titles, note)


def _blocks(run: Artifacts) -> Figure:
    image = run.slices("test", 1).images[:1]
    taps = tf.keras.Model(run.unet.input, [run.unet.get_layer(f"{tap}_2").output for tap in unet.TAPS])
    maps = dict(zip(unet.TAPS, (found[0] for found in taps.predict(image, verbose=0))))
    return paper_figures.blocks(image[0, ..., 0], maps)


def _feature_maps(run: Artifacts, grade: str) -> Figure:
    real, synthetic = run.typical("train", grade), run.typical(SYNTHETIC, grade)
    if real is None or synthetic is None:
        return _nothing(f"No synthetic {grade} feature was confirmed.")
    return paper_figures.feature_maps(real, synthetic, grade)


def _gan_curves(run: Artifacts) -> Figure:
    return paper_figures.gan_curves(
        rundir.read_json(run.folders["train_generators"] / "history.json"), run.records["train_generators"]["kind"]
    )


def _grad_cam(run: Artifacts) -> Figure:
    classifier, found = run.classifier(), run.slices("test", 2)
    names = [f"{patient}, {GRADES[label]}" for patient, label in zip(found.patients, found.labels)]
    encoder, images, masks = run.looked_at(found)
    examples = _explained(attribution.of_slices(encoder, classifier), images, names, images[..., 0], masks)
    drawn = {f"synthetic {grade}": run.typical(SYNTHETIC, grade) for grade in _GRADES}
    drawn = {name: feature for name, feature in drawn.items() if feature is not None}
    if drawn:
        features = np.stack(list(drawn.values()))
        of_features = attribution.of_features(classifier)
        examples += _explained(of_features, features, list(drawn), features.mean(-1), [None] * len(drawn))
    return attribution_figures.grad_cam(examples, run.records["export"]["figures"]["classifier"])


def _explained(model, inputs, names, images, masks) -> list[attribution_figures.Explained]:
    """Decisions of a model of `attribution` and their heat maps."""
    probabilities = tf.sigmoid(model.predict(inputs, verbose=0)[:, 0]).numpy()
    titles = [f"{name}\np(HGG) {probability:.2f}" for name, probability in zip(names, probabilities)]
    found = zip(titles, images, *attribution.heat_maps(model, inputs), masks)
    return [attribution_figures.Explained(*parts) for parts in found]


def _activation_maximisation(run: Artifacts, steps: int) -> Figure:
    return attribution_figures.activation_maximisation(_sought(run, steps), _wanted(run, steps))


def _sought(run: Artifacts, steps: int) -> list[attribution_figures.Sought]:
    """For each grade the channel of the tap that tells it, and what maximises it."""
    by_label = samples.telling_channels(run.points)
    channels = [by_label[GRADES.index(grade)] for grade in _GRADES]
    numbers = [samples.strongest(run.points, "train", channel) for channel in channels]
    encoder, real, _ = run.looked_at(samples.read_slices(run.folders["prepare_slices"], "train", numbers))
    bounds = float(real.min()), float(np.percentile(real, 99.9))
    maximised, means = attribution.maximise_channel(encoder, channels, real, bounds, steps)
    features = encoder.predict(real, verbose=0)  # those that are kept of crops are by other networks, each of a fold
    sought = []
    for i, (grade, channel) in enumerate(zip(_GRADES, channels)):
        fires, best = features[i, ..., channel], samples.strongest(run.points, SYNTHETIC, channel)
        drawn = None if best is None else run.feature(SYNTHETIC, best)[..., channel]
        name, shown = f"{_source(run)} channel {channel}", (real[i, ..., 0], fires)
        level = [means[i], fires.mean(), *([] if drawn is None else [drawn.mean()])]
        sought.append(attribution_figures.Sought(name, grade, maximised[i, ..., 0], shown, drawn, level))
    return sought


def _source(run: Artifacts) -> str:
    return "CNN of crops," if run.tap == crops.TAP else f"U-Net {run.tap}"


def _wanted(run: Artifacts, steps: int) -> list[attribution_figures.Wanted]:
    """For each grade the feature that maximises it by the discriminator's class head, if it has one."""
    head, wanted = run.class_head(), []
    for grade in _GRADES if head is not None else ():
        label, found = GRADES.index(grade), [run.typical(split, grade) for split in ("train", SYNTHETIC)]
        if found[1] is None:
            continue
        real, synthetic = map(run.scaled, found)
        silent = run.scaled(np.zeros_like(found[0]))
        start = silent + np.abs(np.random.default_rng(run.seed).normal(0.0, 0.1, real.shape))
        best = attribution.maximise_grade(head, label, start, (float(silent.min()), float(real.max())), steps)
        features = np.stack([best, real, synthetic])
        wanted.append(attribution_figures.Wanted(grade, features - silent, attribution.log_odds(head, features, label)))
    return wanted


def _generated_slices(run: Artifacts, folder: Path, record: dict) -> Figure:
    gan, found = (
        gan_export.restore_gan(folder, tuple(record["figures"]["shape"]), record["config"], "float32"),
        run.slices("train"),
    )
    rows = {}
    for grade in _GRADES:
        label = GRADES.index(grade)
        noise, labels = gan.noise(_DRAWN, [run.seed, label]), tf.fill([_DRAWN], label)
        made, confirmed = (part.numpy() for part in gan.draw(noise, labels))
        rows[f"real {grade}"] = found.images[found.labels == label][..., 0], None
        rows[f"synthetic {grade}"] = made[..., 0], confirmed
    return paper_figures.generated_slices(rows, record["kind"])


def _nothing(why: str) -> Figure:
    return Figure(grid([]), why, why)


def _write_projector(points: samples.Points, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    rows = [
        (GRADES[label], "synthetic" if split == SYNTHETIC else "real", split, patient)
        for label, split, patient in zip(points.labels, points.splits, points.patients)
    ]
    tensorboard.write_points(
        folder, "features", values=points.values, header=("class", "source", "split", "patient"), rows=rows
    )


_FIGURES = {
    "figure_03": _sample_slices,
    "figure_04": _volumes,
    "figure_05": _augmentations,
    "figure_06": _unet_curves,
    "figure_07": _before_and_after,
    "figure_08": _blocks,
    "figure_09": functools.partial(_feature_maps, grade="HGG"),
    "figure_10": functools.partial(_feature_maps, grade="LGG"),
    "figure_11": _gan_curves,
    "figure_grad_cam": _grad_cam,
}


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, __doc__, stages.all_flags)


if __name__ == "__main__":
    main()
