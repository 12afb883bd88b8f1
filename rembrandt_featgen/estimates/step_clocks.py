"""Clocks of what a stage does while it runs: its training steps, runs of a network, draws from a generator, and bars.

For estimates of hours (`--estimate_only`, `tools/benchmark --subjects=paper`): each stage runs its own code on a few
patients, and is watched from outside.
"""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from rembrandt_featgen.core import memory
from rembrandt_featgen.generation import gan_training
from rembrandt_featgen.generation.gan import GAN
from rembrandt_featgen.nn import inference, resumable_fit

EPOCH_ENDS, VALIDATION = "epoch ends", "validation"  # clocks of a fit beside that of its steps


def now() -> np.ndarray:
    """[2] seconds: of the clock on the wall, and of this process by all of its threads."""
    return np.array([time.perf_counter(), time.process_time()])


def since_start() -> np.ndarray:
    """[2] seconds as by `now`, since this process was started; on the wall where the system says when that was."""
    cpu = time.process_time()
    wall = cpu  # the best there is where the system does not say
    with contextlib.suppress(OSError, AttributeError):  # Linux: ticks from the boot to the start
        started = int(Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19])
        wall = time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")
    return np.array([wall, cpu])


class Clock:
    """Seconds of each step, and the peak memory after each half of them.

    Args:
      steps: that count for `facts`; later ones do not. 0 for all.
      skipped: steps before them, which trace and compile.
      per: what a step's seconds are divided by.

    Attributes:
      facts: "seconds" of each step, and "peak_bytes".
      first, rest: [2] of `now`, of the first step, or of those of several trainings, and of all others together.
      firsts, count: first steps, and items of all others.
    """

    def __init__(self, steps: int = 0, skipped: int = 1, per: int = 1):
        self._steps, self._skipped, self._per = steps, skipped, per
        self._started: np.ndarray | None = None
        self.facts: dict[str, list] = {"seconds": [], "peak_bytes": []}
        self.first, self.rest, self.firsts, self.count = np.zeros(2), np.zeros(2), 0, 0.0
        self._begun = False
        self._each: list[np.ndarray] = []

    @property
    def full(self) -> bool:
        """Whether all that count were taken."""
        return 0 < self._steps == len(self.facts["seconds"])

    @property
    def spent(self) -> np.ndarray:
        """[2] seconds of all steps."""
        return self.first + self.rest

    @property
    def mean(self) -> np.ndarray:
        """[2] seconds of an item, without the first step where there are others."""
        return self.rest / self.count if self.count else self.first / max(self.firsts, 1)

    @property
    def quick(self) -> np.ndarray:
        """[2] seconds of an item in the quickest quarter of the steps but the first: of loops that often begin anew."""
        return np.percentile(self._each, 25, axis=0) if self._each else self.first

    def of_first(self, steps: int) -> np.ndarray:
        """[2] seconds of the first steps, of one item each."""
        return np.sum([self.first, *self._each[: steps - 1]], axis=0)

    def start(self) -> None:
        """Begins a step."""
        self._started = now()

    def begin_anew(self) -> None:
        """The next step is a first one, too: that of another training, whose graph is traced again."""
        self._begun = False

    def forget(self) -> None:
        """What was begun is none."""
        self._started = None

    def stop(self, items: float = 1.0) -> None:
        """Ends a step of that many items."""
        if self._started is None:
            raise RuntimeError("a clock stops that was not started")
        taken, self._started = now() - self._started, None
        self.add(taken, items)

    def add(self, taken: np.ndarray, items: float = 1.0) -> None:
        """A step of that many items, which took [2] seconds."""
        if not self._begun:
            self._begun, self.first, self.firsts = True, self.first + taken, self.firsts + 1
        else:
            self.rest, self.count = self.rest + taken, self.count + items
            self._each.append(taken / items)
        if self._skipped:
            self._skipped -= 1
        elif not self.full:
            seconds = self.facts["seconds"]
            seconds.append(float(taken[0]) / self._per)
            if self._steps and (self.full or len(seconds) == self._steps // 2):
                self.facts["peak_bytes"].append(memory.of_this_process(peak=True))

    def mark(self, items: float = 1.0) -> None:
        """The end of a step and the start of the next."""
        if self._started is not None:
            self.stop(items)
        self.start()


class Enough(Exception):
    """The last clock is full."""


class _Batches(tf.keras.callbacks.Callback):
    """Times the batches of a fit, the wait for their data included, and what comes between its epochs."""

    def __init__(self, clock: Callable[..., Clock], name: str, *, begun: Callable[[], object], ended: Callable):
        super().__init__()
        self._steps, self._between = clock(name), clock(f"{name} {EPOCH_ENDS}", 0)
        self._validation = clock(f"{name} {VALIDATION}", 0)
        self._begun, self._ended = begun, ended
        self._validated, self._end = np.zeros(2), np.zeros(2)

    def on_train_begin(self, logs=None):
        for clock in (self._steps, self._between, self._validation):
            clock.begin_anew()

    def on_epoch_begin(self, epoch, logs=None):
        self._close()

    def on_train_batch_begin(self, batch, logs=None):
        self._begun()
        self._steps.start()

    def on_train_batch_end(self, batch, logs=None):
        self._steps.stop()
        self._end, self._validated = now(), np.zeros(2)
        self._ended()

    def on_test_batch_begin(self, batch, logs=None):
        self._validation.start()

    def on_test_batch_end(self, batch, logs=None):
        before = self._validation.spent
        self._validation.stop()
        self._validated = self._validated + self._validation.spent - before

    def on_train_end(self, logs=None):
        self._close()

    def _close(self):
        """What came between the last batch of an epoch and the next epoch, but for the validation."""
        if self._end.any():
            self._between.add(now() - self._end - self._validated)
        self._end = np.zeros(2)


@contextlib.contextmanager
def watched(stage_name: str, steps: int = 0, last: str = "", facts: dict | None = None) -> Iterator[dict[str, Clock]]:
    """Times what a stage does; a clock is there once it does that, by its name.

    A fit has one of its title's last word where the stage is train_classifiers ("cnn"), else of the stage's name, and
    two beside it; runs of a network have one of the stage's name, of train_unet "evaluate".

    Args:
      stage_name: of the stage.
      steps: of each clock that count for its facts, see `Clock`.
      last: clock that ends the stage by `Enough` once it is full.
      facts: gets those of each clock of steps.
    """
    clocks: dict[str, Clock] = {}

    def clock(name, skipped=1):
        if name not in clocks:
            clocks[name] = Clock(steps, skipped)
            if facts is not None and not name.endswith((EPOCH_ENDS, VALIDATION)):
                facts[name] = clocks[name].facts
        return clocks[name]

    def ended():
        if last in clocks and clocks[last].full:
            raise Enough

    watching, runner, accepted = resumable_fit.watching, inference.runner, GAN.accepted
    of_network = "evaluate" if stage_name == "train_unet" else stage_name

    def training():
        if of_network in clocks and of_network != stage_name:
            clocks[of_network].forget()  # what comes between two evaluations is none of them

    @functools.wraps(watching)
    def watched_fit(logs, title, **given):
        name = title.rpartition("_")[2] if stage_name == "train_classifiers" else stage_name  # "augmented_cnn"
        return [*watching(logs, title, **given), _Batches(clock, name, begun=training, ended=ended)]

    @functools.wraps(runner)
    def watched_runner(network):
        run = runner(network)

        def watched_run(batch):
            found = run(batch)
            # from the end of one to the end of the next: what is done with it, and the wait for the next
            clock(of_network, 0).mark()
            ended()
            return found

        return watched_run

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
        changes: list[tuple[Any, str, Any]] = [
            (resumable_fit, "watching", watched_fit),
            (inference, "runner", watched_runner),
            (GAN, "accepted", watched_draw),
            (gan_training, "STEPS_PER_EXECUTION", 1),
        ]
        for owner, name, changed in changes:
            stack.enter_context(mock.patch.object(owner, name, changed))
        yield clocks


@contextlib.contextmanager
def watched_bars() -> Iterator[dict[str, Clock]]:
    """Times the items of each progress bar that is shown meanwhile, by its title."""
    clocks: dict[str, Clock] = {}
    made, iterated, updated = tqdm.__init__, tqdm.__iter__, tqdm.update

    def of(bar) -> Clock:
        return clocks.setdefault(str(getattr(bar, "desc", "")).removesuffix(": "), Clock(skipped=0))

    @functools.wraps(made)
    def make(bar, *given, **named):
        made(bar, *given, **named)
        if not bar.disable and bar.iterable is None:
            of(bar).start()

    @functools.wraps(iterated)
    def iterate(bar):
        if bar.disable:
            yield from iterated(bar)
            return
        clock = of(bar)
        clock.start()
        for item in iterated(bar):
            yield item
            clock.mark()
        clock.forget()

    @functools.wraps(updated)
    def update(bar, n=1):
        if not bar.disable and bar.iterable is None and n:
            of(bar).mark(n)
        return updated(bar, n)

    with (
        mock.patch.object(tqdm, "__init__", make),
        mock.patch.object(tqdm, "__iter__", iterate),
        mock.patch.object(tqdm, "update", update),
    ):
        yield clocks
