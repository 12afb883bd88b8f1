"""Figures, pictures, points and trials for TensorBoard: its tabs of scalars, images, the projector and HParams."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorboard.plugins import projector
from tensorboard.plugins.hparams import api as hparams
from tensorboard.plugins.image import metadata

from rembrandt_featgen.core import paths, rundir

_OF_EACH_PATIENT = ("by_patient", "by_volume")  # too many to look at


def complete(stage: rundir.Stage, **figures) -> None:
    """`stage.complete`, and each number of the figures as a scalar, so that TensorBoard shows what a stage measured."""
    completed = stage.complete(**figures)["figures"]
    with tf.summary.create_file_writer(str(stage.logs)).as_default():
        for name, value in _numbers(completed):
            tf.summary.scalar(name, value, step=0)


def _numbers(value, name: str = "") -> Iterator[tuple[str, float]]:
    """Path and value of each number in figures; rows go by their words, and those without, and lists, are left out."""
    if isinstance(value, list):
        rows = [row for row in value if isinstance(row, dict)]
        words = ["_".join(v for v in row.values() if isinstance(v, str)) for row in rows]
        value = {word: row for word, row in zip(words, rows) if word}
    if isinstance(value, dict):
        for key, part in value.items():
            if key not in _OF_EACH_PATIENT:
                yield from _numbers(part, f"{name}/{key}" if name else key)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield name, value


def write_images(logs: Path, images: Mapping[str, bytes], descriptions: Mapping[str, str]) -> None:
    """Writes PNGs as they are; `tf.summary.image` would encode each again.

    Args:
      logs: folder of the events, of these alone: what a kill or a full disk left of them before goes.
      images: name to PNG.
      descriptions: name to what it shows.
    """
    paths.remove_folder(logs)  # else each try on a full disk would leave a part, and fill what was freed
    with tf.summary.create_file_writer(str(logs)).as_default():
        for name, png in images.items():
            width, height = (str(pixels).encode() for pixels in struct.unpack(">II", png[16:24]))  # PNG's IHDR chunk
            shown = metadata.create_summary_metadata(name, descriptions[name], converted_to_tensor=True)
            tf.summary.write(name, tf.stack([width, height, png]), step=0, metadata=shown)


def write_points(
    folder: Path, name: str, *, values: np.ndarray, header: Sequence[str], rows: Iterable[Sequence]
) -> None:
    """Writes points for the projector: projector_config.pbtxt, the points and what is known of each.

    Args:
      folder: for this cloud alone, among TensorBoard's logs.
      name: of the cloud.
      values: [n, dimensions].
      header: names of what is known, at least two.
      rows: n of them, each as long as the header.
    """
    folder.mkdir(parents=True, exist_ok=True)
    np.savetxt(folder / f"{name}.tsv", values, "%.4g", "\t")
    lines = ["\t".join(map(str, row)) for row in [header, *rows]]
    (folder / f"{name}_metadata.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    config = projector.ProjectorConfig()
    config.embeddings.add(tensor_name=name, tensor_path=f"{name}.tsv", metadata_path=f"{name}_metadata.tsv")
    projector.visualize_embeddings(str(folder), config)
    with tf.summary.create_file_writer(str(folder)).as_default():  # TensorBoard knows no folder without events
        tf.summary.scalar(f"{name}_points", len(values), step=0)


def write_trials(logs: Path, trials: Mapping[str, tuple[Mapping, Mapping, Mapping]]) -> None:
    """Writes trials for the HParams tab: a session each, in a folder each, with its curves beside its metrics.

    Args:
      logs: folder of the experiment.
      trials: name to its settings (int, float, bool or str, the same names and types in all), its metrics (numbers;
        what is missing or None was not measured), and its curves (values by epoch, named as by Keras).
    """
    names = list(dict.fromkeys(name for settings, *_ in trials.values() for name in settings))
    metrics = list(dict.fromkeys(name for _, measured, _ in trials.values() for name in measured))
    domains = {name: sorted({settings[name] for settings, *_ in trials.values()}) for name in names}
    with tf.summary.create_file_writer(str(logs)).as_default():
        hparams.hparams_config(
            [hparams.HParam(name, hparams.Discrete(values)) for name, values in domains.items()],
            [hparams.Metric(name) for name in metrics],
        )
    for name, (settings, measured, curves) in trials.items():
        with tf.summary.create_file_writer(str(logs / name)).as_default():
            hparams.hparams(dict(settings), trial_id=name)
            for metric, value in measured.items():
                if value is not None:
                    tf.summary.scalar(metric, value, step=0)
            for curve, values in curves.items():
                for epoch, value in enumerate(values):
                    tf.summary.scalar(f"epoch_{curve}", value, step=epoch)
