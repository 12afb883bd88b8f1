"""Measures what `--strategy=multi_worker` does: worker processes on this host, which talk over its loopback.

One worker and two train the same U-Net and the same ACGAN: their curves are to be equal. Two of which one is killed and
started again are to end with the curves of those that were not. Two extract features: files are to be the same bytes.

python tools/probe_workers.py --folder=runs/workers
"""

import dataclasses
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

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


def commands(config: Config) -> dict[str, list[str]]:
    """Stage to its flags, but for those of the run."""
    unet = ["--unet_width=4", "--unet_batch=8", f"--unet_epochs={config.unet_epochs}", "--unet_learning_rate=0.002"]
    unet += [f"--unet_norm={config.norm}", f"--unet_loss={config.loss}", "--unet_sampling=patients"]
    gan = ["--generators=acgan", "--ndf=16", "--ngf=16", "--gan_batch=8", f"--gan_epochs={config.gan_epochs}"]
    return {"train_unet": unet, "extract_features": ["--tap=conv4"], "train_generators": gan}


def start(stage: str, run: Path, *, flags: list[str], workers: int) -> list[subprocess.Popen]:
    """Starts the workers of a stage, each of which writes what it says into a file of its own."""
    sockets = [socket.socket() for _ in range(workers)]
    for one in sockets:
        one.bind(("localhost", 0))
    addresses = [f"localhost:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    processes = []
    for number in range(workers):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": number}}
        threads = dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"), "1")
        with (run.parent / f"{run.name}-{stage}-{number}.log").open("a") as log:
            processes.append(
                subprocess.Popen(
                    [
                        sys.executable,
                        "-m",
                        f"rembrandt_featgen.stages.{stage}",
                        f"--run_dir={run}",
                        "--strategy=multi_worker",
                        *flags,
                    ],
                    env={**os.environ, **threads, "TF_CONFIG": json.dumps(task), "CUDA_VISIBLE_DEVICES": "-1"},
                    stdout=log,
                    stderr=log,
                )
            )
    return processes


def finish(stage: str, run: Path, *, flags: list[str], workers: int) -> None:
    """Runs a stage to its end."""
    codes = [process.wait() for process in start(stage, run, flags=flags, workers=workers)]
    if any(codes):
        raise RuntimeError(f"{stage} of {run} ended with {codes}; see {run.parent}/{run.name}-{stage}-*.log")


def kill_one(run: Path, flags: list[str]) -> dict:
    """Kills the second of two workers that train the U-Net once an epoch is saved; returns what became of the chief."""
    chief, other = start("train_unet", run, flags=flags, workers=2)
    history = run / "unet.part" / "history.json"
    while not history.exists():
        time.sleep(0.02)
        if chief.poll() is not None:
            raise RuntimeError(f"the chief ended with {chief.returncode}; see {run.parent}/{run.name}-train_unet-0.log")
    other.send_signal(signal.SIGKILL)
    code = chief.wait()
    other.wait()
    return {"chief_ended_with": code, "epochs_saved": len(json_files.read_json(history)["loss"])}


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
    folder, flags = Path(config.folder), commands(config)
    folders.make_folder(folder, "--folder")
    prepared, found = folder / "prepared", {}
    if not prepared.exists():
        counts = dict.fromkeys(("LGG", "HGG"), config.patients)
        cohort = phantom.write_phantom(folder / "cohort", counts, size=config.size, slices=config.slices)
        prepare_slices.run(prepare_slices.Config(str(prepared), str(cohort), image_size=config.size))
    one, two, shared, killed = (folder / name for name in ("one", "two", "shared", "killed"))
    if not one.exists():
        shutil.copytree(prepared, one)
    for stage in STAGES:
        finish(stage, one, flags=flags[stage], workers=1)
    if not two.exists():
        shutil.copytree(prepared, two)
    finish("train_unet", two, flags=flags["train_unet"], workers=2)
    found["unet"] = differences(one / "unet", two / "unet")
    if not shared.exists():  # of one and the same U-Net
        shutil.copytree(one, shared, ignore=shutil.ignore_patterns("features", "generator_*", ".*.lock"))
    for stage in STAGES[1:]:
        finish(stage, shared, flags=flags[stage], workers=2)
    found["features"] = {"same_bytes": same_bytes(one / "features", shared / "features")}
    found["acgan"] = differences(one / GAN, shared / GAN)
    if not killed.exists():
        shutil.copytree(prepared, killed)
        found["killed"] = kill_one(killed, flags["train_unet"])
    finish("train_unet", killed, flags=flags["train_unet"], workers=2)
    found["killed_and_resumed"] = differences(two / "unet", killed / "unet")
    json_files.write_json(folder / "workers.json", found)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    cli.main(Config, run, about=__doc__)
