"""Measures speed, memory and cost of precision, side by side in one run; with --peers, other packages on the same work.

Each side is a process of its own; sides take turns, and medians of their rounds are compared. Writes benchmark.json, a
list of {"name", "value", "unit", "ratio", "against"}, benchmark.md, a table of it, and rounds.json: seconds of each
round, peak memory, and the settings that were tried for each peer. Rows of subjects that this call does not measure are
kept. The subjects, each described in tools/benchmarks/: augmentation, unet, dice, extraction, store, feeding, acgan,
classifier, trainings.
Two more run only if they are named: paper, a quarter of an hour, the hours of the paper's whole run; and, by
--device=gpu instead of --subjects, device: all networks on that device beside PyTorch, within 8 minutes.
"""

import dataclasses
import importlib
import json
import sys
import time
from pathlib import Path

STARTED = time.monotonic()  # before what takes seconds to be imported
sys.path.insert(0, str(Path(__file__).resolve().parent))

from benchmarks import rows, turns  # noqa: E402

from rembrandt_featgen.core import cli, folders, json_files  # noqa: E402
from rembrandt_featgen.core.errors import InputError  # noqa: E402
from rembrandt_featgen.data import store_format  # noqa: E402
from rembrandt_featgen.nn import devices  # noqa: E402

SUBJECTS = (
    "augmentation",
    "unet",
    "dice",
    "extraction",
    "store",
    "feeding",
    "acgan",
    "classifier",
    "trainings",
    "paper",
    "device",
)
LONG = ("paper", "device")  # measured only if named


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the benchmark."""

    run_dir: str = cli.flag("runs/benchmark", "Where everything goes.")
    subjects: tuple[str, ...] = cli.flag(
        tuple(name for name in SUBJECTS if name not in LONG),
        f"What to measure: some of {', '.join(SUBJECTS)}; paper takes a quarter of an hour.",
    )
    peers: bool = cli.flag(
        False, "Whether to measure other packages, too, in .venv-peers, which is created if it is missing."
    )
    device: str = cli.flag(
        "", "Measures the networks on this device alone: gpu, gpu:1 or cpu, in each precision, within --minutes."
    )
    minutes: float = cli.flag(
        7.5,
        "Minutes that --device may take, the most important rows first; what is not done by then is named.",
        minimum=0.1,
    )
    quick: bool = cli.flag(
        False, "Whether --device takes small networks and fractions of seconds, to try all rows on any machine."
    )
    rounds: int = cli.flag(5, "Turns of each side; the median counts.", minimum=1)
    precisions: tuple[str, ...] = cli.flag(
        ("float32", "bfloat16"), "Precisions to compare; the first is the reference."
    )
    image_size: int = cli.flag(240, "Height and width of slices, a multiple of 16.", minimum=16)
    batch: int = cli.flag(10, "Slices in a batch.", minimum=1, source="paper 4.1")
    slices: int = cli.flag(2000, "Slices that we augment in a round.", minimum=1)
    peer_slices: int = cli.flag(40, "Slices that others augment in a round.", minimum=1)
    widths: tuple[str, ...] = cli.flag(
        ("8", "64"), "Widths of the U-Nets that are timed; the last one is that of ratios and of extraction."
    )
    dice_width: int = cli.flag(8, "Width of the U-Nets that are trained to the end.", minimum=1)
    dice_epochs: int = cli.flag(14, "Epochs of that training.", minimum=1)
    taps: tuple[str, ...] = cli.flag(
        ("conv1", "conv2", "conv3", "conv4", "conv5", "uconv4", "uconv3", "uconv2", "uconv1"),
        "Blocks whose extraction is measured, besides conv5.",
    )
    extract_slices: int = cli.flag(160, "Slices whose features are extracted in a round.", minimum=1)
    store_samples: int = cli.flag(
        64, "Features in the small store, several batches at least; the large one has ten times as many.", minimum=8
    )
    store_size: int = cli.flag(120, "Height and width of a stored feature.", minimum=4)
    store_channels: int = cli.flag(128, "Channels of a stored feature.", minimum=1)
    store_dtype: str = cli.flag("bfloat16", "Type of features on disk.", choices=store_format.DTYPES)
    store_codec: str = cli.flag("none", "Compression of features on disk.", choices=tuple(store_format.CODECS))
    store_batch: int = cli.flag(8, "Stored features in a batch.", minimum=1)
    store_filters: int = cli.flag(64, "Filters of the first convolution of the CNN that trains on them.", minimum=1)
    feature_size: int = cli.flag(15, "Height and width of features for ACGAN and classifier.", minimum=4)
    feature_channels: int = cli.flag(1024, "Their channels.", minimum=1)
    gan_filters: int = cli.flag(512, "Filters of the ACGAN's hidden layers.", minimum=1, source="paper 4.2.1")
    gan_batch: int = cli.flag(16, "Features in a batch of the ACGAN.", minimum=2, source="paper 4.2")
    gan_steps: int = cli.flag(8, "Steps of the ACGAN in a round.", minimum=1)
    classifier_batch: int = cli.flag(16, "Features in a batch of the classifier.", minimum=1)
    classifier_filters: int = cli.flag(64, "Filters of the classifier's first convolution.", minimum=1)
    classifier_units: int = cli.flag(128, "Units of the classifier's first dense layer.", minimum=1)
    classifier_samples: int = cli.flag(256, "Features in an epoch of the classifier, which is a round.", minimum=1)
    trainings_draws: int = cli.flag(
        100, "Draws of the study of vectors, each of 12 trainings; a round is all.", minimum=1
    )
    trainings_loop: int = cli.flag(96, "Draws of which one arm is trained in a loop, in a round.", minimum=1)
    trainings_patients: int = cli.flag(250, "Patients whom each of them trains on.", minimum=10)
    trainings_numbers: int = cli.flag(256, "Numbers of a patient.", minimum=1)
    paper_flags: str = cli.flag("flags/paper.flags", "Flagfile of the run whose hours the subject 'paper' estimates.")
    paper_steps: int = cli.flag(20, "Steps of each of its stages that are measured.", minimum=2)
    paper_sweep_steps: int = cli.flag(
        2, "Steps of each stage of a point of its sweeps, where they differ from the run's.", minimum=2
    )
    paper_precisions: tuple[str, ...] = cli.flag(
        ("bfloat16",), "Precisions in which fine-tuning is measured beside that of the flagfile."
    )


def run(config: Config) -> None:
    """Measures, writes and prints, a subject at a time."""
    subjects = ("device",) if config.device else cli.some_of("subjects", config.subjects, SUBJECTS)
    devices.chosen_gpus(config.device or devices.AUTO)
    if config.peers and not config.device and not turns.PEERS_PYTHON.exists():
        raise InputError(f"--peers needs {turns.PEERS_PYTHON}; tools/setup_peers creates it, as tools/benchmark does")
    folder = Path(config.run_dir)
    folders.make_folder(folder, "--run_dir")
    for subject in subjects:
        print(f"{subject} ...", flush=True)
        since = {"since": STARTED} if subject == "device" else {}
        measured, taken = importlib.import_module(f"benchmarks.{subject}").measure(config, config.peers, **since)
        kept = rows.merged(_read(folder / "benchmark.json", []), measured)
        json_files.write_json(folder / "benchmark.json", kept)
        (folder / "benchmark.md").write_text(rows.table(kept), encoding="utf-8")
        taken = {name: one._asdict() for name, one in taken.items()}
        json_files.write_json(folder / "rounds.json", _read(folder / "rounds.json", {}) | {subject: taken})
        print(rows.table(measured), flush=True)


def _read(path, default):
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else default


if __name__ == "__main__":
    cli.main(Config, run, about=__doc__)
