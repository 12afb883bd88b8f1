"""Clocks of steps and of bars."""

import time
import types
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tqdm import tqdm

from rembrandt_featgen.estimates import extrapolation, step_clocks
from rembrandt_featgen.estimates.trial_runs import Measured
from rembrandt_featgen.generation import gan_training
from rembrandt_featgen.generation.gan import GAN
from rembrandt_featgen.nn import inference, resumable_fit


@pytest.fixture
def seconds(monkeypatch):
    """What the clock shows next: each call takes one from the list."""
    times: list[float] = []
    monkeypatch.setattr(step_clocks, "now", lambda: np.array([times.pop(0), 0.0]))
    return times


def test_the_first_step_is_set_apart_and_items_are_counted(seconds):
    clock = step_clocks.Clock(skipped=1)
    seconds += [0, 10, 10, 12, 12, 18, 18]  # a mark reads it twice
    clock.start()
    clock.mark()
    clock.mark(2)
    clock.mark(4)
    assert (clock.first[0], clock.rest[0], clock.count) == (10.0, 8.0, 6.0)
    assert clock.mean[0] == pytest.approx(8 / 6) and clock.spent[0] == 18.0
    assert clock.quick[0] == pytest.approx(1.0 + 0.25 * 0.5)  # of 2 / 2 and 6 / 4
    assert clock.facts["seconds"] == [2.0, 6.0]


def test_first_steps_of_several_trainings_are_set_apart_and_traced_as_often_in_the_whole_run():
    clock = step_clocks.Clock()
    for taken in (10.0, 1.0, 1.0):
        clock.add(np.array([taken, 0.0]))
    clock.begin_anew()
    for taken in (8.0, 4.0):
        clock.add(np.array([taken, 0.0]))
    assert (clock.first[0], clock.firsts, clock.mean[0], clock.spent[0]) == (18.0, 2, 2.0, 24.0)
    found = Measured(np.array([30.0, 0.0]), {"cnn": clock})
    assert extrapolation.seconds(found, {"cnn": 100})[0] == 6.0 + 18.0 + 98 * 2.0


def test_a_fit_that_is_watched_begins_its_clocks_anew(tmp_path):
    network = tf.keras.Sequential([tf.keras.layers.Dense(1, input_shape=(2,))])
    network.compile(loss="mse", run_eagerly=True)
    with step_clocks.watched("train_classifiers") as clocks:
        for title in ("baseline_cnn", "augmented_cnn"):
            callbacks = resumable_fit.watching(tmp_path / title, title, epochs=2, done=0)
            network.fit(np.ones((6, 2)), np.ones(6), batch_size=2, epochs=2, verbose=0, callbacks=callbacks)
    assert (clocks["cnn"].firsts, clocks["cnn"].count) == (2, 2 * 2 * 3 - 2)
    assert (clocks["cnn epoch ends"].firsts, clocks["cnn epoch ends"].count) == (2, 2)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux says when a process was started")
def test_the_start_of_a_process_is_that_of_this_one_not_of_the_machine():
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    before = step_clocks.since_start()
    time.sleep(0.05)
    after = step_clocks.since_start()
    assert after[0] - before[0] >= 0.05 and 0 < before[0] < uptime - 0.5
    assert 0 < before[1] <= after[1] <= time.process_time()


def test_a_clock_that_was_not_started_does_not_stop():
    with pytest.raises(RuntimeError, match="was not started"):
        step_clocks.Clock().stop()


def test_items_of_bars_of_both_kinds_are_timed_and_bars_work_as_before(capsys):
    with step_clocks.watched_bars() as clocks:
        assert list(tqdm([3, 4, 5], "patients", unit="patient")) == [3, 4, 5]
        assert list(tqdm([1, 2], "hidden", disable=True)) == [1, 2]
        with tqdm(total=10, desc="tasks") as bar:
            bar.update(4)
            bar.update(6)
        assert bar.n == 10
    assert set(clocks) == {"patients", "tasks"}
    assert clocks["patients"].count == 2 and clocks["tasks"].count == 6
    list(tqdm([1], "after"))
    assert "after" not in clocks
    assert "10/10" in capsys.readouterr().err


def test_runs_of_a_network_are_timed_and_draws_are_kept_while_a_stage_is_watched():
    network = tf.keras.Sequential([tf.keras.layers.Dense(1, input_shape=(2,))])
    kinds = (inference.runner, GAN.accepted, gan_training.STEPS_PER_EXECUTION)
    with step_clocks.watched("extract_features") as clocks:
        run = inference.runner(network)
        assert [run(np.ones((3, 2), np.float32)).shape for _ in range(3)] == [(3, 1)] * 3
        refusing = types.SimpleNamespace(can_refuse=False)
        kept = GAN.accepted(refusing, tf.zeros((4, 2)), tf.zeros(4, tf.int32))
        assert kept.numpy().all()
    assert clocks["extract_features"].count == 1 and "generate_synthetic" in clocks  # without the first one
    assert kinds == (inference.runner, GAN.accepted, gan_training.STEPS_PER_EXECUTION)
