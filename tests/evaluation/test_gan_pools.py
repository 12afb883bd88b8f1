import dataclasses

import numpy as np
import pytest

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import few_shots, gan_pools
from rembrandt_featgen.evaluation.gan_pools import GanPools
from rembrandt_featgen.features.tables import table_of_arrays
from rembrandt_featgen.generation.gan_training import GanTraining

TINY = GanTraining(steps=1, filters_generator=4, filters_discriminator=4, batch=8)


LOWEST = -5.0


def table(groups=30):
    """Maps 4 x 4 x 3 of two classes, two samples of each patient; the first channel tells the class."""
    labels = np.repeat([0, 1], groups)
    maps = np.abs(np.random.default_rng(0).normal(size=(2 * groups, 4, 4, 3)))
    maps[..., 0] += 2 * labels[:, None, None]
    return table_of_arrays(
        maps + LOWEST, labels, classes=Classes.of(["common", "rare"]), patients=(np.arange(len(labels)) // 2)
    )


@pytest.fixture(scope="module")
def task():
    return few_shots.tasks(table(), draws=1, shots=[3], label=1, test=0.3)[3][0]


def test_what_is_made_is_a_function_of_the_training_samples(task, eager_gans):
    maps = table()
    gans = GanPools(("acgan",), (0.0, 1.0), TINY)
    made = gans.of_task(maps, task)
    values = maps.values.copy()
    values[task.test] = 100.0
    again = gans.of_task(dataclasses.replace(maps, values=values), task)
    (pool,), (other,), (note,) = made.pools.values(), again.pools.values(), made.notes.values()
    np.testing.assert_array_equal(pool.features, other.features)
    assert len(pool.features) and pool.features.shape[1:] == (4, 4, 3) and pool.features.min() > LOWEST - 1e-5
    for label, name in enumerate(maps.classes.names):
        assert (pool.labels == label).sum() <= note["accepted"][name] <= note["generated"][name]
        assert (pool.labels == label).sum() == min(note["accepted"][name], note["asked"][name])
        assert 0 <= note["by_discriminator"][name] <= note["generated"][name]


def test_too_few_patients_for_a_judge_are_one_line(task):
    maps = table()
    alone = dataclasses.replace(task, train=np.concatenate([task.train[maps.labels[task.train] == 0], [59]]))
    with pytest.raises(InputError, match="draw0-fold0-seed0: a judge needs two classes .*, or leave acgan out"):
        GanPools(("acgan",), (0.0,), TINY).of_task(maps, alone)


def test_acceptance_is_over_all_tasks():
    notes = [
        {"acgan": {"generated": {"a": 10}, "accepted": {"a": 1}, "by_discriminator": {"a": 9}}},
        {"acgan": {"generated": {"a": 30}, "accepted": {"a": 9}, "by_discriminator": {"a": 21}}},
    ]
    assert gan_pools.acceptance(notes) == {"acgan": {"judge": {"a": 0.25}, "discriminator": {"a": 0.75}}}
    assert gan_pools.acceptance([{}]) == {}
    for note, asked in zip(notes, (4, 6)):
        note["acgan"]["asked"] = {"a": asked}
    assert gan_pools.acceptance(notes)["acgan"]["of_asked"] == {"a": 0.7}  # 1 of 4, and 6 of 6


def test_a_generator_of_which_few_are_accepted_is_named_in_one_line():
    def of(share):
        return {"judge": {"a": 0.02, "b": 0.9}, "discriminator": {"a": 1.0, "b": 1.0}, "of_asked": {"a": share, "b": 1}}

    assert gan_pools.few_accepted({3: {"acgan": of(0.8)}, 5: {"cgan": {"judge": {}}}, 10: {}}) == []
    (line,) = gan_pools.few_accepted({3: {"acgan": of(0.2), "cgan": of(1.0)}, 5: {"acgan": of(0.31)}})
    assert "acgan with 3 a: 20% of what was asked for (the judge accepted 2.0% of what was generated)" in line
    assert "acgan with 5 a: 31%" in line and "; cgan" not in line and " b:" not in line
