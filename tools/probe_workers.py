"""Measures what `--strategy=multi_worker` does: worker processes on this host, which talk over its loopback, or each in
a network namespace of its own, as hosts would.

One worker and two train the same U-Net and the same ACGAN: their curves are to be equal. Two of which one is killed and
started again are to end with the curves of those that were not. Two extract features: files are to be the same bytes.

python tools/probe_workers.py --folder=runs/workers [--namespaces]
"""

import contextlib
import dataclasses
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import worker_processes

from rembrandt_featgen.cohort import phantom
from rembrandt_featgen.core import cli, folders, json_files
from rembrandt_featgen.stages import prepare_slices

STAGES = ("train_unet", "extract_features", "train_generators")
GAN = "generator_acgan"
STORED = (".tfrecord", ".jsonl")  # files of a store


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of this script."""

    folder: str = cli.flag("", "Where runs go; what is there already is not done again.", required=True)
    size: int = cli.flag(32, "Pixels of a side of the slices.", minimum=32)
    slices: int = cli.flag(4, "Slices of a patient.", minimum=1)
    patients: int = cli.flag(6, "Patients of each class.", minimum=3)
    unet_epochs: int = cli.flag(6, "Epochs of the U-Net.", minimum=2)
    gan_epochs: int = cli.flag(6, "Epochs of the ACGAN.", minimum=1)
    norm: str = cli.flag("batch", "Norm of the U-Net.")
    loss: str = cli.flag("dice_ce", "Loss of the U-Net.")
    namespaces: bool = cli.flag(False, "Whether each worker has a network namespace of its own; needs root.")


def commands(config: Config) -> dict[str, list[str]]:
    """Stage to its flags, but for those of the run."""
    unet = ["--unet_width=4", "--unet_batch=8", f"--unet_epochs={config.unet_epochs}", "--unet_learning_rate=0.002"]
    unet += [f"--unet_norm={config.norm}", f"--unet_loss={config.loss}", "--unet_sampling=patients"]
    gan = ["--generators=acgan", "--ndf=16", "--ngf=16", "--gan_batch=8", f"--gan_epochs={config.gan_epochs}"]
    return {"train_unet": unet, "extract_features": ["--tap=conv4"], "train_generators": gan}


@dataclasses.dataclass(frozen=True)
class Workers:
    """Those of one run after another.

    Attributes:
      flags: of `commands`.
      namespaces: of two workers; none for the loopback.
    """

    flags: dict[str, list[str]]
    namespaces: list[str]

    def start(self, stage: str, run: Path, *, count: int) -> list[subprocess.Popen]:
        """Starts the workers of a stage, each of which writes what it says into a file of its own."""
        command = [sys.executable, "-m", f"rembrandt_featgen.stages.{stage}", f"--run_dir={run}"]
        command += ["--strategy=multi_worker", *self.flags[stage]]
        return worker_processes.start(
            [command] * count, run.parent / f"{run.name}-{stage}", namespaces=self.namespaces[:count]
        )

    def finish(self, stage: str, run: Path, *, count: int) -> None:
        """Runs a stage to its end."""
        codes = worker_processes.ended(self.start(stage, run, count=count))
        if any(codes):
            raise RuntimeError(f"{stage} of {run} ended with {codes}; see {run.parent}/{run.name}-{stage}-*.log")

    def kill_one(self, run: Path) -> dict:
        """Kills the second of two workers that train the U-Net once an epoch is saved; what became of the chief."""
        chief, other = workers = self.start("train_unet", run, count=2)
        history = run / "unet.part" / "history.json"
        try:
            while not history.exists() and chief.poll() is None:
                time.sleep(0.02)
            epochs = len(json_files.read_json(history)["loss"])
            other.kill()
            return {"chief_ended_with": chief.wait(), "epochs_saved": epochs}
        finally:
            worker_processes.kill(workers)


def differences(one: Path, two: Path) -> dict[str, float]:
    """Log to the largest difference over the epochs."""
    histories = [json_files.read_json(folder / "history.json") for folder in (one, two)]
    return {name: float(np.abs(np.subtract(values, histories[1][name])).max()) for name, values in histories[0].items()}


def same_bytes(one: Path, two: Path) -> bool:
    """Whether the stores of two folders have the same files with the same content."""
    names = [sorted(path.name for path in folder.iterdir() if path.suffix in STORED) for folder in (one, two)]
    return names[0] == names[1] != [] and all(
        (one / name).read_bytes() == (two / name).read_bytes() for name in names[0]
    )


def run(config: Config) -> None:
    """Writes workers.json and prints it."""
    folder = Path(config.folder)
    folders.make_folder(folder, "--folder")
    prepared = folder / "prepared"
    if not prepared.exists():
        counts = dict.fromkeys(("LGG", "HGG"), config.patients)
        cohort = phantom.write_phantom(folder / "cohort", counts, size=config.size, slices=config.slices)
        prepare_slices.run(prepare_slices.Config(str(prepared), str(cohort), image_size=config.size))
    with contextlib.ExitStack() as stack:
        two = stack.enter_context(worker_processes.network_namespaces(2)) if config.namespaces else []
        found = compare(folder, Workers(commands(config), two))
    found["namespaces"] = config.namespaces
    json_files.write_json(folder / "workers.json", found)
    print(json.dumps(found, indent=2))


def compare(folder: Path, workers: Workers) -> dict:
    """Runs one worker and two, and says how their results differ."""
    prepared, found = folder / "prepared", {}
    one, two, shared, killed = (folder / name for name in ("one", "two", "shared", "killed"))
    if not one.exists():
        shutil.copytree(prepared, one)
    for stage in STAGES:
        workers.finish(stage, one, count=1)
    if not two.exists():
        shutil.copytree(prepared, two)
    workers.finish("train_unet", two, count=2)
    found["unet"] = differences(one / "unet", two / "unet")
    if not shared.exists():  # of one and the same U-Net
        shutil.copytree(one, shared, ignore=shutil.ignore_patterns("features", "generator_*", ".*.lock"))
    for stage in STAGES[1:]:
        workers.finish(stage, shared, count=2)
    found["features"] = {"same_bytes": same_bytes(one / "features", shared / "features")}
    found["acgan"] = differences(one / GAN, shared / GAN)
    if not killed.exists():
        shutil.copytree(prepared, killed)
        found["killed"] = workers.kill_one(killed)
    workers.finish("train_unet", killed, count=2)
    found["killed_and_resumed"] = differences(two / "unet", killed / "unet")
    return found


if __name__ == "__main__":
    cli.main(Config, run, about=__doc__)
