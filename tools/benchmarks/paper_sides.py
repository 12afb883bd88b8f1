"""The sides of `paper`: stages of the run of a flagfile, at its full sizes but on a phantom cohort of a few steps.

Each side runs the stage's own `run` and watches: the batches of its `fit`, its runs of a network, its draws from a
generator. Only what says how long a run takes is changed: the cohort, epochs, and how many features are drawn. All
features that are drawn are kept, and a GAN's steps are taken one by one, so that each can be timed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from pathlib import Path

import tensorflow as tf

from benchmarks import turns
from rembrandt_featgen import stages
from rembrandt_featgen.core import cli, rundir
from rembrandt_featgen.estimates import step_clocks
from rembrandt_featgen.evaluation.sweep_results import CLASSIFIER
from rembrandt_featgen.generation import adding
from rembrandt_featgen.nn import weights
from rembrandt_featgen.segmentation import initial
from rembrandt_featgen.stages import pipeline, shared_flags

SLICES = 5  # of a phantom patient: 21 batches of 10 are 21 patients of each grade, and none is left over
AFTER_UNET = ("extract_features", "train_generators", "generate_synthetic", "train_classifiers")
OF_EACH_GAN = ("train_generators", "generate_synthetic")


def read_flags(path: str, run_dir: str = "."):
    """The pipeline's config of a flagfile."""
    return cli.parse(pipeline.Config, [f"--flagfile={path}", f"--run_dir={run_dir}"], stages.all_flags)


def prepare_slices(options: dict) -> turns.Work:
    """A side: prepares the cohort three times, which counts as so many steps, and puts an untrained U-Net beside it."""
    config = _trial(options)
    clock = step_clocks.Clock(2, per=2 * SLICES * patients(config, options["steps"])[1])

    def work():
        modules = stages.modules(["make_phantom", "prepare_slices"])
        modules["make_phantom"].run(stages.share(modules["make_phantom"], config))
        for _ in range(3):
            shutil.rmtree(Path(config.run_dir) / "slices", ignore_errors=True)
            clock.start()
            modules["prepare_slices"].run(stages.share(modules["prepare_slices"], config))
            clock.stop()
        _write_unet(config)

    return turns.Work(work, {"prepare_slices": clock.facts})


def train_unet(options: dict) -> turns.Work:
    """A side: fine-tuning on the cohort in `options["cohort"]`, until the clock `options["last"]` is full."""
    config = _trial(options)
    _link(Path(options["cohort"]), Path(config.run_dir), ["slices"])
    return _work(config, ["train_unet"], options["steps"], last=options["last"])


def some_stages(options: dict) -> turns.Work:
    """A side: the stages `options["stages"]`, after those that they need."""
    return _work(_trial(options), options["stages"], options["steps"])


def point(options: dict) -> turns.Work:
    """A side: what a point of a sweep may have of its own, on the cohort and U-Net in `options["cohort"]`."""
    config = dataclasses.replace(_trial(options), classifier_kinds=(CLASSIFIER,))
    _link(Path(options["cohort"]), Path(config.run_dir), ["slices", "unet"])
    return _work(config, AFTER_UNET, options["steps"])


def patients(config, steps: int) -> tuple[int, int]:
    """Training patients of each grade whose slices make one batch more than `steps`; all of each grade."""
    needed = max((steps + 1) * max(config.unet_batch, config.extract_batch), config.gan_batch)
    training = -(-needed // (2 * SLICES))
    return training, training + 2  # one validates, one is tested


def _trial(options: dict):
    """The flagfile's config of one GAN, but for `options["changes"]` and what says how long a run takes."""
    config = shared_flags.with_first_generator(read_flags(options["flags"], options["folder"]))
    config = dataclasses.replace(config, **options.get("changes", {}))
    steps = options["steps"]
    training, members = patients(config, steps)
    drawn = -(-(steps + 2) // 2) * config.generate_batch  # of each grade
    added = min(2 * SLICES * training, 2 * drawn)
    changes: dict = {
        "cohort": "phantom",
        "layout": "auto",
        "classes": (),
        "split_file": "",
        "phantom_size": config.image_size,
    }
    changes |= {"phantom_counts": (f"LGG:{members}", f"HGG:{members}"), "phantom_slices": SLICES}
    changes |= {"test_counts": ("HGG:1", "LGG:1"), "validation_fraction": 1 / members}
    changes |= {"unet_weights": "", "unet_weights_modalities": (), "unet_epochs": 1, "unet_steps": 0}
    changes["gan_epochs"] = _epochs(steps, 2 * SLICES * training, config.gan_batch)
    changes |= {"synthetic_per_class": drawn, "generate_tries": 1}
    changes |= {"synthetic_added": added, "synthetic_to": adding.ALL, "classifier_arms": ("augmented",)}
    changes["classifier_epochs"] = _epochs(steps, 2 * SLICES * training + added, config.classifier_batch)
    return dataclasses.replace(config, **changes, bootstrap_draws=100)


def _epochs(steps, samples, batch) -> int:
    """Epochs that have one step more than `steps`."""
    return -(-(steps + 1) // -(-samples // batch))


def _work(config, names, steps: int, last: str = "") -> turns.Work:
    """Runs stages, until the clock `last` is full or to their ends; its facts are those of the clocks by name."""
    facts: dict = {}

    def work():
        for name, module in stages.modules(names).items():
            with contextlib.suppress(step_clocks.Enough), step_clocks.watched(name, steps, last, facts=facts):
                module.run(stages.share(module, config))
            tf.keras.backend.clear_session()
        for name, found in facts.items():
            if len(found["seconds"]) < steps:
                raise RuntimeError(f"{name}: there were {len(found['seconds'])} of {steps} steps")

    return turns.Work(work, facts)


def _write_unet(config) -> None:
    """The U-Net as its training begins, in the folder of a trained one."""
    module = stages.modules(["train_unet"])["train_unet"]
    prepared = rundir.find(config.run_dir, "prepare_slices")
    config = stages.share(module, config)
    with rundir.open_stage(config, "train_unet", [prepared]) as stage:
        unet = initial.unet(dataclasses.asdict(config), prepared.record["figures"])
        weights.save(unet.get_weights(), stage.path / "best.npz")
        stage.complete()


def _link(source: Path, run_dir: Path, names) -> None:
    run_dir.mkdir(parents=True)
    for name in names:
        (run_dir / name).symlink_to(source / name)
