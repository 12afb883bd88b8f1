"""Extraction of features: slices per second at each tap, and the peak memory of the process that does it.

Extraction is what the stage `extract_features` does: slices from their store, the U-Net up to the tap, features to
their store. Beside it: the same part of the U-Net on slices in memory, writing nothing, and the whole U-Net likewise.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import tensorflow as tf

from benchmarks import turns
from benchmarks.peers import slicewise
from benchmarks.rows import row
from rembrandt_featgen.data.store_writer import Writer
from rembrandt_featgen.features import cross_fitting
from rembrandt_featgen.nn import inference
from rembrandt_featgen.segmentation.unet import build_unet, tap_model
from rembrandt_featgen.stages import extract_features


def measure(config, peers: bool) -> tuple[list[dict], dict]:
    """Rows and what each side took; no peer does this."""
    with tempfile.TemporaryDirectory(dir=config.run_dir) as folder:
        options = {"width": int(config.widths[-1]), "size": config.image_size, "slices": config.extract_slices}
        options |= {"batch": config.batch, "precision": config.precisions[-1], "folder": str(Path(folder).resolve())}
        write_slices(options)

        def sides(kind, taps):
            return {f"{kind} {tap}": turns.Side(f"{__name__}:{kind}", {**options, "tap": tap}) for tap in taps}

        found = turns.take_turns(
            {**sides("extract", ["conv5"]), **sides("run", ["conv5", "everything"])}, config.rounds
        )
        for tap in config.taps:
            if tap != "conv5":
                found |= turns.take_turns(sides("extract", [tap]), config.rounds)
    speed = {name: config.extract_slices / one.median for name, one in found.items()}
    rows = []
    for tap in dict.fromkeys(("conv5", *config.taps)):
        name = f"extract {tap}"
        rows.append(row(f"extract_{tap}", speed[name], "slices/s"))
        rows.append(row(f"extract_{tap}_peak_memory", found[name].peak_bytes / 1e9, "GB"))
    full, bare, conv5 = (speed[name] for name in ("run everything", "run conv5", "extract conv5"))
    rows.append(
        row("extract_conv5_vs_full_forward", conv5, "slices/s", other=full, against="forward pass of the whole U-Net")
    )
    rows.append(row("extract_conv5_vs_bare_forward", conv5, "slices/s", other=bare, against="forward pass up to conv5"))
    return rows, found


def extract(options: dict) -> turns.Work:
    """A side: all of extraction, into an empty folder."""
    tap = tap_model(_unet(options), options["tap"])
    config = extract_features.Config(tap=options["tap"], precision=options["precision"], extract_batch=options["batch"])
    shape = tuple(tap.compute_output_shape((1, options["size"], options["size"], 1))[1:])

    def work():
        with tempfile.TemporaryDirectory(dir=options["folder"]) as folder:
            extract_features.extract_split(
                config,
                extract_features.of_tap(cross_fitting.Encoders(tap, [], {})),
                shape=shape,
                slices=Path(options["folder"]),
                split="train",
                folder=Path(folder),
            )

    return turns.Work(work)


def run(options: dict) -> turns.Work:
    """A side: the U-Net up to a tap, or "everything", on slices in memory."""
    unet = _unet(options)
    predict = inference.runner(unet if options["tap"] == "everything" else tap_model(unet, options["tap"]))
    images, _ = slicewise.slices(options["slices"], options["size"])
    starts = range(0, options["slices"], options["batch"])

    def work():
        for start in starts:
            predict(images[start : start + options["batch"]])

    return turns.Work(work)


def _unet(options):
    tf.keras.utils.set_random_seed(0)
    return build_unet(1, options["width"], precision=options["precision"])


def write_slices(options: dict) -> None:
    """Fills `options["folder"]`, from which slices are extracted."""
    images, masks = slicewise.slices(options["slices"], options["size"])
    shape = (options["size"], options["size"], 1)
    folder = Path(options["folder"])
    tensors = {"image": (shape, "float32"), "mask": (shape, "uint8")}
    with Writer(folder, "train", tensors) as writer:
        for number, (image, mask) in enumerate(zip(images, masks)):
            writer.write(
                {"image": image, "mask": mask}, f"patient {number // 20}", slice_index=number % 20, label=number % 2
            )
