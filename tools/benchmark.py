"""Measures U-Net training in each precision, side by side in one run, and what precision costs in hard dice.

Writes benchmark.json, a list of {"name", "value", "unit", "ratio", "against"}, and benchmark.md, a table.
"""

import dataclasses
import json
import shutil
import statistics
import time
from pathlib import Path

import tensorflow as tf

from rembrandt_featgen import cli, rundir
from rembrandt_featgen.metrics import segmentation
from rembrandt_featgen.models import precision as precisions
from rembrandt_featgen.models import unet as unets
from rembrandt_featgen.stages import finetune, phantom, prepare


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the benchmark."""

    run_dir: str = cli.flag("runs/benchmark", "Where everything goes.")
    precisions: tuple[str, ...] = cli.flag(
        ("float32", "bfloat16"), "Precisions to compare; the first is the reference."
    )
    widths: tuple[str, ...] = cli.flag(("8", "16", "64"), "Widths of the U-Net whose training steps are timed.")
    batch: int = cli.flag(10, "Slices in a batch.", minimum=1)
    rounds: int = cli.flag(5, "Rounds of one step of each precision in turn; the median counts.", minimum=1)
    dice_width: int = cli.flag(
        8, "Width of the U-Nets that are trained to the end for their hard dice; 0 for none.", minimum=0
    )
    dice_epochs: int = cli.flag(14, "Epochs of that training.", minimum=1)


def run(config: Config) -> None:
    """Measures, writes and prints."""
    folder = Path(config.run_dir)
    rundir.make_folder(folder, "--run_dir")
    rows = [row for width in config.widths for row in _train_steps(config, int(width))]
    if config.dice_width:
        rows += _hard_dice(config)
    rundir.write_json(folder / "benchmark.json", rows)
    lines = ["| name | value | unit | ratio | against |", "|---|---|---|---|---|"]
    lines += [
        f"| {r['name']} | {r['value']:.4g} | {r['unit']} | {r['ratio'] or '–'} | {r['against'] or '–'} |" for r in rows
    ]
    (folder / "benchmark.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def _train_steps(config: Config, width: int):
    """Slices per second of one training step on the same batch, the precisions taking turns."""
    images = tf.random.stateless_normal([config.batch, 240, 240, 1], [0, 0])
    masks = tf.cast(tf.random.stateless_uniform([config.batch, 240, 240, 1], [0, 1]) > 0.95, tf.float32)
    networks, seconds = {}, {precision: [] for precision in config.precisions}
    for precision in config.precisions:
        unet = unets.build_unet(1, width, precision=precision)
        unet.compile(precisions.scaled(tf.keras.optimizers.Adam(1e-3), precision), segmentation.batch_soft_dice_loss)
        unet.train_on_batch(images, masks)  # traces
        networks[precision] = unet
    for _ in range(config.rounds):
        for precision, unet in networks.items():
            start = time.perf_counter()
            unet.train_on_batch(images, masks)
            seconds[precision].append(time.perf_counter() - start)
    speed = {precision: config.batch / statistics.median(times) for precision, times in seconds.items()}
    reference = config.precisions[0]
    for precision in config.precisions:
        ratio = None if precision == reference else round(speed[precision] / speed[reference], 2)
        yield _row(f"unet_train_{precision}_width_{width}", speed[precision], "slices/s", ratio, reference)


def _hard_dice(config: Config):
    """Hard dice per test slice of the phantom, trained to the end in each precision."""
    runs = {precision: Path(config.run_dir) / precision for precision in config.precisions}
    for precision, folder in runs.items():
        shutil.rmtree(folder, ignore_errors=True)
        phantom.run(phantom.Config(str(folder), phantom_hgg=61, phantom_lgg=40, phantom_slices=5))
        prepare.run(prepare.Config(str(folder), test_fraction=0.3, validation_fraction=0.15))
        finetune.run(
            finetune.Config(
                str(folder), precision=precision, unet_width=config.dice_width, unet_epochs=config.dice_epochs
            )
        )
        tf.keras.backend.clear_session()
    dice = {
        precision: json.loads((folder / "unet" / "stage.json").read_text())["figures"]["segmentation"]["test"][
            "hard_dice"
        ]
        for precision, folder in runs.items()
    }
    for precision, value in dice.items():
        ratio = None if precision == config.precisions[0] else round(value / dice[config.precisions[0]], 3)
        yield _row(f"unet_test_hard_dice_{precision}", value, "per slice", ratio, config.precisions[0])


def _row(name, value, unit, ratio, against):
    return {"name": name, "value": value, "unit": unit, "ratio": ratio, "against": against if ratio else None}


if __name__ == "__main__":
    cli.main(Config, run, __doc__)
