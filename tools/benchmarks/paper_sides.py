"""The sides of `paper`: stages of the run of a flagfile, at its full sizes but on a phantom cohort of a few steps.

Each side runs the stage's own `run` and watches: the batches of its `fit`, its runs of a network, its draws from a
generator. Only what says how long a run takes is changed: the cohort, epochs, and how many features are drawn. All
features that are drawn are kept, and a GAN's steps are taken one by one, so that each can be timed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import shutil
import time
from pathlib import Path
from unittest import mock

import numpy as np
import tensorflow as tf

from benchmarks import turns
from rembrandt_featgen import stages
from rembrandt_featgen.core import cli, rundir
from rembrandt_featgen.evaluation.sweep_results import CLASSIFIER
from rembrandt_featgen.generation import adding, gan_training
from rembrandt_featgen.generation.gan import GAN
from rembrandt_featgen.nn import inference, resumable_fit, weights
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
    clock = _Clock(2, per=2 * SLICES * patients(config, options["steps"])[1])

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


class _Clock:
    """Seconds of each step, and the peak memory after each half of them.

    Args:
      steps: that count; later ones do not.
      skipped: steps before them, which trace and compile.
      per: what a step's seconds are divided by.
    """

    def __init__(self, steps: int, skipped: int = 1, per: int = 1):
        self._steps, self._skipped, self._per = steps, skipped, per
        self._started: float | None = None
        self.facts: dict = {"seconds": [], "peak_bytes": []}

    @property
    def full(self) -> bool:
        return len(self.facts["seconds"]) == self._steps

    def start(self) -> None:
        self._started = time.perf_counter()

    def stop(self) -> None:
        if self._started is None:
            raise RuntimeError("a clock stops that was not started")
        seconds = (time.perf_counter() - self._started) / self._per
        if self._skipped:
            self._skipped -= 1
        elif not self.full:
            self.facts["seconds"].append(seconds)
            if self.full or len(self.facts["seconds"]) == self._steps // 2:
                self.facts["peak_bytes"].append(turns.peak_bytes())

    def mark(self) -> None:
        """The end of a step and the start of the next."""
        if self._started is not None:
            self.stop()
        self.start()


class _Enough(Exception):
    """The last clock is full."""


class _Batches(tf.keras.callbacks.Callback):
    """Times the training batches of a fit, the wait for their data included."""

    def __init__(self, clock: _Clock, ended):
        super().__init__()
        self._clock, self._ended = clock, ended

    def on_train_batch_begin(self, batch, logs=None):
        self._clock.start()

    def on_train_batch_end(self, batch, logs=None):
        self._clock.stop()
        self._ended()


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
            with contextlib.suppress(_Enough), _watched(name, steps, last, facts=facts):
                module.run(stages.share(module, config))
            tf.keras.backend.clear_session()
        for name, found in facts.items():
            if len(found["seconds"]) < steps:
                raise RuntimeError(f"{name}: there were {len(found['seconds'])} of {steps} steps")

    return turns.Work(work, facts)


@contextlib.contextmanager
def _watched(stage_name: str, steps: int, last: str, facts: dict):
    """Times what a stage does; a clock is there once it does that."""
    clocks: dict[str, _Clock] = {}

    def clock(name, skipped=1):
        if name not in clocks:
            clocks[name] = _Clock(steps, skipped)
            facts[name] = clocks[name].facts
        return clocks[name]

    def ended():
        if last in clocks and clocks[last].full:
            raise _Enough

    watching, runner, accepted = resumable_fit.watching, inference.runner, GAN.accepted

    @functools.wraps(watching)
    def watched_fit(logs, title, **given):
        name = title.rpartition("_")[2] if stage_name == "train_classifiers" else stage_name  # "augmented_cnn"
        return [*watching(logs, title, **given), _Batches(clock(name), ended)]

    @functools.wraps(runner)
    def watched_runner(network):
        run = runner(network)

        def watched(batch):
            found = run(batch)
            # from the end of one to the end of the next: what is done with it, and the wait for the next
            clock("evaluate" if stage_name == "train_unet" else stage_name, 0).mark()
            ended()
            return found

        return watched

    @functools.wraps(accepted)
    def watched_draw(gan, features, labels):
        drawn = clock("generate_synthetic")

        def keep_all(found):
            drawn.mark()
            return np.ones_like(found)

        found = accepted(gan, features, labels)
        kept = tf.numpy_function(keep_all, [found], tf.bool)
        kept.set_shape(found.shape)
        return kept

    with contextlib.ExitStack() as stack:
        for owner, name, watched in (
            (resumable_fit, "watching", watched_fit),
            (inference, "runner", watched_runner),
            (GAN, "accepted", watched_draw),
            (gan_training, "STEPS_PER_EXECUTION", 1),
        ):
            stack.enter_context(mock.patch.object(owner, name, watched))
        yield


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
