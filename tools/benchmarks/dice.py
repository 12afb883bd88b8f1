"""What precision costs: hard dice per test slice of a phantom, of U-Nets trained to the end in each precision."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from benchmarks import turns
from benchmarks.rows import row
from rembrandt_featgen.stages import make_phantom, prepare_slices, train_unet


def measure(config, peers: bool) -> tuple[list[dict], dict]:
    """Rows and what each side took; no peer does this."""
    dice, taken, reference = {}, {}, config.precisions[0]
    for precision in config.precisions:
        folder = str((Path(config.run_dir) / precision).resolve())
        options = {"folder": folder, "precision": precision, "width": config.dice_width, "epochs": config.dice_epochs}
        taken[precision] = turns.take_turns({precision: turns.Side(f"{__name__}:train", options)}, 0)[precision]
        record = json.loads((Path(folder) / "unet" / "stage.json").read_text(encoding="utf-8"))
        dice[precision] = record["figures"]["segmentation"]["test"]["hard_dice"]
    rows = [
        row(
            f"unet_test_hard_dice_{precision}",
            value,
            "per slice",
            other=None if precision == reference else dice[reference],
            against=None if precision == reference else reference,
        )
        for precision, value in dice.items()
    ]
    return rows, taken


def train(options: dict) -> turns.Work:
    """Trains once, anew."""

    def work():
        folder = options["folder"]
        shutil.rmtree(folder, ignore_errors=True)
        make_phantom.run(make_phantom.Config(folder, phantom_counts=("LGG:40", "HGG:61"), phantom_slices=5))
        prepare_slices.run(prepare_slices.Config(folder, test_fraction=0.3, validation_fraction=0.15))
        settings = {"unet_width": options["width"], "unet_epochs": options["epochs"]}
        train_unet.run(train_unet.Config(folder, precision=options["precision"], **settings))

    return turns.Work(work)
