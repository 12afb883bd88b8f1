import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from rembrandt_featgen.classification import independent_judge
from rembrandt_featgen.classification.independent_judge import performance, summary, train_judge


def samples(patients, classes, seed, *, shift=1.5, slices=3):
    """Vectors of which a column of each class is shifted, with effects of patients; labels, and patients."""
    random = np.random.default_rng(seed)
    labels = np.arange(patients) % classes
    values = random.normal(size=(patients, 1, 6)) + 0.5 * random.normal(size=(patients, slices, 6))
    values[np.arange(patients), :, labels] += shift
    return values.reshape(-1, 6), np.repeat(labels, slices), np.repeat(np.arange(patients), slices)


def test_summary_of_maps_is_mean_and_deviation_of_each_channel():
    maps = np.random.default_rng(0).normal(size=(4, 3, 5, 2))
    flat = maps.reshape(4, 15, 2)
    np.testing.assert_allclose(summary(maps), np.concatenate([flat.mean(1), flat.std(1)], 1))
    np.testing.assert_array_equal(summary(flat[:, 0]), flat[:, 0])


@pytest.mark.parametrize("classes", [2, 3])
def test_probabilities_are_calibrated_on_new_patients(classes):
    features, labels, groups = samples(90, classes, 0)
    judge = train_judge(features, labels, groups, num_classes=classes, seed=0)
    new, truth, patients = samples(3000, classes, 1)
    probabilities = judge(new)
    assert probabilities.shape == (len(new), classes)
    np.testing.assert_allclose(probabilities.sum(1), 1.0)
    found = performance(probabilities, truth, patients)
    assert found["accuracy"] > {2: 0.75, 3: 0.65}[classes]
    assert found["log_loss"] < 0.75 * np.log(classes)
    assert found["accuracy"] == pytest.approx(probabilities.max(1).mean(), abs=0.06)


def test_it_is_as_good_as_a_logistic_regression():
    features, labels, groups = samples(120, 2, 2)
    new, truth, patients = samples(2000, 2, 3)
    scaler = StandardScaler().fit(features)
    peer = LogisticRegression(C=0.01).fit(scaler.transform(features), labels)
    wanted = performance(peer.predict_proba(scaler.transform(new)), truth, patients)
    found = performance(train_judge(features, labels, groups, num_classes=2, seed=0)(new), truth, patients)
    assert found["accuracy"] > wanted["accuracy"] - 0.02
    assert found["log_loss"] < wanted["log_loss"] + 0.02


def test_classes_are_taken_to_be_equally_frequent():
    features, labels, groups = samples(160, 2, 4)
    kept = (labels == 0) | (groups % 8 == 1)  # a quarter of the second class
    judge = train_judge(features[kept], labels[kept], groups[kept], num_classes=2, seed=0)
    new, truth, patients = samples(2000, 2, 5)
    recall = performance(judge(new), truth, patients)["recall"]
    assert abs(recall[0] - recall[1]) < 0.2  # 0.35 where shares are taken as they are


def test_of_noise_it_says_that_it_knows_nothing():
    """A classifier of 60 columns can be right of all 30 training patients."""
    random = np.random.default_rng(6)
    features, labels = random.normal(size=(30, 60)), np.arange(30) % 2
    judge = train_judge(features, labels, np.arange(30), num_classes=2, seed=0)
    new = performance(judge(random.normal(size=(1000, 60))), np.arange(1000) % 2, np.arange(1000))
    assert new["accuracy"] == pytest.approx(0.5, abs=0.05)
    assert new["log_loss"] == pytest.approx(np.log(2), abs=0.02)


def test_samples_of_a_group_are_not_judged_by_what_learnt_others_of_it():
    """Five copies of each sample would be right by heart."""
    random = np.random.default_rng(7)
    features = np.repeat(random.normal(size=(40, 30)), 5, 0)
    labels, groups = np.repeat(np.arange(40) % 2, 5), np.repeat(np.arange(40), 5)
    judge = train_judge(features, labels, groups, num_classes=2, seed=0)
    assert performance(judge.out_of_fold, labels, groups)["accuracy"] < 0.75
    without = train_judge(features, labels, np.arange(200), num_classes=2, seed=0)
    assert performance(without.out_of_fold, labels, groups)["accuracy"] > 0.95


def test_what_never_varied_in_training_says_nothing():
    features, labels, groups = samples(60, 2, 8)
    features[:, 5] = 3.0
    judge = train_judge(features, labels, groups, num_classes=2, seed=0)
    changed = features.copy()
    changed[:, 5] = 1000.0 * (2 * labels - 1)
    np.testing.assert_allclose(judge(changed), judge(features))


def test_it_is_a_function_of_the_samples_and_the_seed():
    features, labels, groups = samples(30, 2, 9)
    first, again = (train_judge(features, labels, groups, num_classes=2, seed=1)(features) for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_performance_by_hand():
    probabilities = np.array([[0.8, 0.2], [0.4, 0.6], [0.3, 0.7], [0.1, 0.9]])
    found = performance(probabilities, np.array([0, 0, 0, 1]), np.array(["a", "a", "b", "c"]))
    # patients: of class 0, a is right of one sample of two, b of none; of class 1, c is right
    assert found["recall"] == [0.25, 1.0]
    assert found["accuracy"] == 0.625
    assert found["probability"] == pytest.approx([((0.8 + 0.4) / 2 + 0.3) / 2, 0.9])
    losses = -np.log([0.8, 0.4, 0.3, 0.9])
    assert found["log_loss"] == pytest.approx(((losses[0] + losses[1]) / 2 + losses[2]) / 4 + losses[3] / 2)


def test_too_few_groups_are_refused():
    with pytest.raises(ValueError, match="two classes that have two groups"):
        train_judge(np.zeros((4, 2)), np.array([0, 0, 1, 1]), np.array([0, 1, 2, 2]), num_classes=2, seed=0)


def test_temperatures_change_no_decision():
    probabilities = np.array([[0.7, 0.2, 0.1], [0.0, 0.4, 0.6]])
    cooled = independent_judge._cooled(probabilities, 2.0)
    assert cooled.argmax(1).tolist() == [0, 2]
    assert cooled[0] == pytest.approx(np.sqrt(probabilities[0]) / np.sqrt(probabilities[0]).sum())
