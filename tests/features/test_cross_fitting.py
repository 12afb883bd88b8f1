import numpy as np

from rembrandt_featgen.features import cross_fitting

PER_PATIENT = 3


def assign_folds(positive, negative, folds, *, seed=0):
    """Folds of patients P0, P1, ..., the positive ones first, with some samples each."""
    labels = np.repeat([1] * positive + [0] * negative, PER_PATIENT)
    patients = np.repeat([f"P{i}" for i in range(positive + negative)], PER_PATIENT)
    return cross_fitting.assign_folds(patients, labels, folds=folds, seed=seed)


def test_folds_spread_each_class_evenly():
    fold_of = assign_folds(6, 5, 3)
    assert set(fold_of) == {f"P{i}" for i in range(11)}
    for of_class in (range(6), range(6, 11)):
        counts = np.bincount([fold_of[f"P{i}"] for i in of_class], minlength=3)
        assert counts.max() - counts.min() <= 1
    assert fold_of == assign_folds(6, 5, 3) != assign_folds(6, 5, 3, seed=1)
    assert set(assign_folds(6, 2, 4).values()) == {0, 1}  # each fold leaves a negative patient to learn from
    for folds, negative in ((0, 5), (1, 5), (4, 1)):
        assert assign_folds(6, negative, folds) == {}


def test_a_group_of_two_classes_is_dealt_once():
    """Groups 0 to 3 have a patient of either class: parts are as even as those of patients, and divide no group."""
    patients = np.array([f"P{i}" for i in range(16)])
    group_of = {patient: f"g{number % 4 if number < 8 else number}" for number, patient in enumerate(patients)}
    labels = np.array([0] * 4 + [1] * 4 + [1, 1, 1, 1, 1, 1, 1, 0])
    for seed in range(5):
        fold_of = cross_fitting.assign_folds(patients, labels, folds=4, seed=seed, group_of=group_of)
        assert set(fold_of) == set(patients)
        assert len({(group_of[patient], fold) for patient, fold in fold_of.items()}) == 12
        parts = [labels[[fold_of[patient] == part for patient in patients]] for part in range(4)]
        assert all(set(part) == {0, 1} for part in parts)
        groups = [len({group_of[patient] for patient in patients if fold_of[patient] == part}) for part in range(4)]
        assert groups == [3, 3, 3, 3]


def test_a_map_of_channels_is_recovered():
    random = np.random.default_rng(0)
    features, kernel, more = random.random((20, 2, 2, 3)), random.normal(size=(3, 3)), np.array([5.0, 6.0, 7.0])
    found = cross_fitting.channel_map(features, features @ kernel + more)
    np.testing.assert_allclose(found, np.concatenate([kernel, more[None]]), rtol=2e-2, atol=2e-2)
    silent = np.concatenate([features, np.zeros((20, 2, 2, 1))], -1)  # a channel that never fires
    for wanted in (silent, silent[..., ::-1]):
        found = cross_fitting.channel_map(silent, wanted)
        assert np.isfinite(found).all()
        assert not cross_fitting.mapped(silent, found)[..., wanted.max((0, 1, 2)) == 0].any()
    moved = cross_fitting.mapped(np.array([[[[1.0, 2.0]]]]), np.array([[1.0, -1.0], [1.0, -1.0], [0.5, 0.5]]))
    assert (moved.dtype, moved.tolist()) == (np.float32, [[[[3.5, 0.0]]]])


def test_a_map_of_channels_does_not_shrink():
    """Two noisy views of the same signals, after ReLU: half of the variance cannot be explained, and is kept."""
    random = np.random.default_rng(1)
    signals = random.normal(size=(4000, 6))
    one, other = (
        np.maximum(signals @ random.normal(size=(6, 6)) + random.normal(size=(4000, 6)) * 1.2 - 0.5, 0) for _ in "ab"
    )
    found = cross_fitting.mapped(one[:2000], cross_fitting.channel_map(one[:2000], other[:2000]))
    np.testing.assert_allclose(found.mean(0), other[:2000].mean(0), rtol=0.02)
    np.testing.assert_allclose(found.var(0) / other[:2000].var(0), 1.0, rtol=0.02)
    fresh = cross_fitting.mapped(one[2000:], cross_fitting.channel_map(one[:2000], other[:2000]))
    np.testing.assert_allclose(fresh.var(0) / other[2000:].var(0), 1.0, rtol=0.35)
    assert all(np.corrcoef(fresh[:, i], other[2000:, i])[0, 1] > 0.2 for i in range(6))


def test_columns_are_matched_by_those_whom_both_have_seen():
    seen = np.array([True, True, True, False])
    vectors = np.array([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0], [4.0, 7.0]])
    wanted = np.array([[3.0, 4.0], [7.0, 5.0], [11.0, 6.0], [0.0, 0.0]])
    found = cross_fitting.matched_columns(vectors, wanted, seen)
    np.testing.assert_allclose(found[:, 0], [3.0, 7.0, 11.0, 15.0], rtol=1e-5)
    np.testing.assert_allclose(found[:, 1], 5.0)  # nothing is known of how it varies
    assert found.dtype == np.float32
    assert cross_fitting.matched_columns(-vectors, wanted, seen).min() == 0.0
