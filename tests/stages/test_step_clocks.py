"""Clocks of steps and of bars."""

import numpy as np
import pytest
from tqdm import tqdm

from rembrandt_featgen.stages import step_clocks


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
