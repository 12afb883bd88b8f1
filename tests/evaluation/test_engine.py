import numpy as np

from rembrandt_featgen.evaluation import engine
from rembrandt_featgen.evaluation.engine import Outcome
from rembrandt_featgen.evaluation.plans import Task
from rembrandt_featgen.evaluation.schedulers import Serial
from tests.evaluation.simulated import predictions


def test_a_resumed_study_has_the_choices_of_one_that_was_not_interrupted(tmp_path):
    rows = np.arange(2)
    tasks = [
        Task("k-fold", 0, number, fold=str(number), seed=0, train=rows, validation=rows, test=rows) for number in (0, 1)
    ]

    def work(task):
        return Outcome(predictions("none", [0.1, 0.9], [0, 1]), {"loss": np.nan, "counts": np.arange(2), 3: (1.0,)})

    at_once, kept, resumed = (engine.run(tasks, work, folder) for folder in (None, tmp_path, tmp_path))
    wanted = [{"loss": None, "counts": [0, 1], "3": [1.0]}] * 2
    assert [one.choices for one in at_once] == [one.choices for one in kept] == wanted
    assert [one.choices for one in resumed] == wanted


class Backwards(Serial):
    """Stands for several processes: whole stretches, the last first."""

    parallel = True

    def results(self, shared, calls):
        self.calls = calls
        yield from reversed(list(super().results(shared, calls)))


def test_a_stretch_is_one_call_and_what_is_kept_is_not_asked_for(tmp_path, caplog):
    rows = np.arange(2)
    parts = {"train": rows, "validation": rows, "test": rows}
    tasks = [Task("k-fold", 0, number, fold=str(number), seed=0, **parts) for number in range(5)]
    done = []

    def work(task):
        done.append(task.number)
        return Outcome(predictions("none", [0.1, 0.9], [0, 1], fold=task.fold), {"number": task.number})

    folders = tmp_path / "a", tmp_path / "b"
    engine.run(tasks[1:2], work, folders[0])
    done.clear()
    runner = Backwards()
    several = [
        engine.Part(tasks, work, folders[0], together=3, name="3 shots"),
        engine.Part(tasks[:2], work, folders[1], name="5 shots"),
    ]
    with caplog.at_level("INFO", logger="absl"):
        found = engine.run_parts(several, runner)
    assert "plan k-fold, 3 shots: 5 tasks, 1 of them done before: draw0-fold0-seed0, " in caplog.text
    assert "plan k-fold, 5 shots: 2 tasks: draw0-fold0-seed0, draw0-fold1-seed0" in caplog.text
    assert [(call.of, call.argument) for call in runner.calls] == [(0, [0, 2]), (0, [3, 4]), (1, [0]), (1, [1])]
    names = [call.name for call in runner.calls]
    assert len(set(names)) == 4 and names[0].startswith("a: draw0-fold0-seed0 to ")
    assert done == [0, 2, 3, 4, 0, 1]
    assert [[one.choices["number"] for one in each] for each in found] == [[0, 1, 2, 3, 4], [0, 1]]
    assert [one.predictions.fold[0] for one in found[0]] == list("01234")
