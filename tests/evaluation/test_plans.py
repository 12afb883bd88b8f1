import numpy as np
import pytest

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.cohort.layouts import find_cohort
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import plans
from rembrandt_featgen.features.tables import table_of_arrays
from tests.cohort import public_layouts


def table(classes=2, of_class=12, samples=2):
    """Patients of two samples, two patients a group, three sites."""
    patients = np.repeat(np.arange(classes * of_class), samples)
    labels = patients // of_class
    return table_of_arrays(
        np.random.default_rng(0).normal(size=(len(patients), 3)),
        labels,
        classes=Classes.of("abcd"[:classes]),
        patients=patients.astype(str),
        groups=(patients // 2).astype(str),
        sites=np.array(["east", "west", "north"])[patients // 2 % 3],
    )


def made(name, features):
    if name == "k-fold":
        return plans.k_fold(features, folds=3, repeats=2, seeds=[0, 5], validation=0.25)
    if name == "hold-out":
        return plans.hold_out(features, test=0.3, validation=0.25, seeds=[0, 5])
    return plans.sites(features, seeds=[0], validation=0.25)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", ["k-fold", "hold-out", "sites"])
def test_no_group_is_divided_and_every_class_is_trained(name, classes):
    features = table(classes)
    tasks = made(name, features)
    assert len({task.name for task in tasks}) == len(tasks)
    for task in tasks:
        assert task.plan == name
        parts = [set(features.groups[rows]) for rows in (task.train, task.validation, task.test)]
        assert not parts[0] & parts[1] and not parts[0] & parts[2] and not parts[1] & parts[2]
        assert set(features.labels[task.train]) == set(range(classes))
        assert set(features.labels[task.validation]) == set(range(classes))


def test_k_fold_tests_every_sample_once_in_each_repeat_and_seed():
    features = table()
    tasks = made("k-fold", features)
    tested = np.zeros((2, 2, len(features)), int)
    for task in tasks:
        tested[task.draw, [0, 5].index(task.seed), task.test] += 1
    assert np.all(tested == 1)
    first, second = ({task.fold: set(task.test) for task in tasks if task.draw == draw} for draw in (0, 1))
    assert first != second  # a repeat divides anew


def test_a_given_division_is_kept():
    features = table()
    parts = {"train": features.take(features.sites == "east"), "validation": features.take(features.sites == "west")}
    parts["test"] = features.take(features.sites == "north")
    whole, tasks = plans.given(parts, seeds=[3, 4])
    assert [task.seed for task in tasks] == [3, 4]
    for name, part in parts.items():
        np.testing.assert_array_equal(whole.values[getattr(tasks[0], name)], part.values)


def test_a_given_division_that_says_nothing_is_refused():
    features = table()
    parts = {"train": features.take(features.sites == "east"), "validation": features.take(features.sites == "west")}
    parts["test"] = features.take(features.sites == "north")
    nobody = features.take(np.arange(0))
    for changes, message in (
        ({"test": features}, "x: group 0 of patients is both in train and in test"),
        ({"test": nobody}, "x: there is no test sample"),
        ({"train": nobody}, "x: there is no train sample of class a"),
        ({"train": parts["train"].take(parts["train"].labels == 0)}, "x: there is no train sample of class b"),
        ({"validation": parts["validation"].take(parts["validation"].labels == 1)}, "no validation sample of class a"),
    ):
        with pytest.raises(InputError, match=message):
            plans.given({**parts, **changes}, [0], "x")
    plans.given({**parts, "validation": nobody}, [0], "x")


def test_sites_tests_one_site_at_a_time():
    features = table()
    assert {task.fold for task in made("sites", features)} == {"east", "west", "north"}
    for task in made("sites", features):
        assert set(features.sites[task.test]) == {task.fold}
        assert task.fold not in features.sites[task.train]


def test_what_cannot_be_divided_is_refused():
    features = table()
    with pytest.raises(InputError, match="--cv_folds=7: class a has 6 groups"):
        plans.k_fold(features, folds=7, repeats=1, seeds=[0], validation=0.25)
    here = features.take(features.sites == "east")
    with pytest.raises(InputError, match="have 1 site;"):
        plans.sites(here, seeds=[0], validation=0.25)
    lone = features.take((features.labels == 0) | (features.groups == "6"))
    with pytest.raises(InputError, match="class b has 1 group of patients"):
        plans.hold_out(lone, test=0.3, validation=0.25, seeds=[0])


def test_parts_have_the_share_that_was_asked_for_in_each_class():
    """Also where a class has few groups, and where groups have many samples or few."""
    random = np.random.default_rng(0)
    sizes = random.integers(1, 20, 104)
    patients = np.repeat(np.arange(104), sizes)
    features = table_of_arrays(
        np.zeros((len(patients), 1)),
        (patients >= 100).astype(int),
        classes=Classes.of("ab"),
        patients=patients.astype(str),
    )
    task = plans.hold_out(features, test=0.1, validation=0.1, seeds=[0])[0]
    groups = [len(np.unique(features.groups[rows])) for rows in (task.train, task.validation, task.test)]
    assert groups == [81 + 2, 9 + 1, 10 + 1]
    tested = [
        np.unique(features.patients[task.test][features.labels[task.test] == 1])
        for task in plans.k_fold(features, folds=4, repeats=1, seeds=[0], validation=0.4)
    ]
    assert [len(patients) for patients in tested] == [1, 1, 1, 1]


def test_each_task_trains_with_a_seed_of_its_own():
    tasks = made("k-fold", table())
    assert len({task.training_seed for task in tasks}) == len(tasks) == 12


def test_each_fold_of_a_study_of_volumes_trains_with_a_seed_of_its_own():
    """Each comes with its split alone, and maps of a patient's slices with the same seed as the patient's vector."""
    features, seeds = table(), {}
    for name in ("east", "west", "north"):
        parts = {"train": features.take(features.sites != name), "validation": features.take(np.arange(0))}
        parts["test"] = features.take(features.sites == name)
        _, tasks = plans.given(parts, seeds=[0, 1])
        seeds[name] = [task.training_seed for task in tasks]
        once = np.flatnonzero((features.sites != name) & (features.samples == 0))[::-1]
        _, vectors = plans.given({**parts, "train": features.take(once)}, seeds=[0, 1])
        assert [task.training_seed for task in vectors] == seeds[name]  # so does a killed fold that goes on
    assert len({seed for found in seeds.values() for seed in found}) == 6


def test_sites_that_no_split_may_divide_are_refused():
    features = table()
    features.sites[:2] = ""  # of one patient
    with pytest.raises(InputError, match="2 samples have no site, such as those of 0"):
        plans.sites(features, seeds=[0], validation=0.25)
    features.sites[:2] = "west"  # the other patient of the group is of the east
    with pytest.raises(InputError, match="group 0 has patients of east and of west"):
        plans.sites(features, seeds=[0], validation=0.25)


@pytest.mark.parametrize("layout", sorted(public_layouts.MAKERS))
def test_visits_in_public_data_sets_are_never_divided(tmp_path, layout):
    """Nor by folds."""
    known = public_layouts.make(layout, tmp_path / "in" / "cohort")
    cohort = find_cohort(known.cohort, names=known.names, columns=known.columns, options=known.options)
    features = table_of_arrays(
        np.random.default_rng(0).normal(size=(len(cohort.patients), 2)),
        np.array([cohort.classes.label(patient.label) for patient in cohort.patients]),
        classes=cohort.classes,
        patients=np.array([patient.id for patient in cohort.patients]),
        groups=np.array([patient.group for patient in cohort.patients]),
    )
    whose = np.array([known.patients[name] for name in features.patients])
    for task in [task for name in ("k-fold", "hold-out") for task in made(name, features)]:
        parts = [set(whose[rows]) for rows in (task.train, task.validation, task.test)]
        assert not parts[0] & parts[1] and not parts[0] & parts[2] and not parts[1] & parts[2]
