import numpy as np

from rembrandt_featgen.evaluation import engine
from rembrandt_featgen.evaluation.engine import Outcome
from rembrandt_featgen.evaluation.plans import Task
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
