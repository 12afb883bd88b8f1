import numpy as np

from rembrandt_featgen.generation.transfer import Transfer


def fit(features, labels, groups=None):
    return Transfer().fit(np.array(features, float), np.array(labels), groups, num_classes=2, signed=True, seed=0)


def test_the_mean_of_a_class_gets_the_deviations_of_the_other():
    fitted = fit([[0], [6], [100], [102]], [0, 0, 1, 1])
    larger = np.sqrt(2)  # two patients deviate from their mean by less than from the true one
    np.testing.assert_allclose(np.unique(fitted.draw(1, 50, 0)), [101 - 3 * larger, 101 + 3 * larger])
    np.testing.assert_allclose(np.unique(fitted.draw(0, 50, 0)), [3 - larger, 3 + larger])


def test_patients_are_drawn_equally_often():
    groups = np.repeat(["a", "b", "c", "d"], [1, 9, 1, 1])
    drawn = fit([[0], *[[6]] * 9, [100], [102]], [0] * 10 + [1, 1], groups).draw(1, 2000, 0)
    assert abs(np.mean(drawn > 101) - 0.5) < 0.05


def test_of_one_patient_in_the_other_class_a_class_keeps_its_deviations():
    fitted = fit([[0], [6], [100]], [0, 0, 1])
    assert len(np.unique(fitted.draw(0, 50, 0))) == 2
    assert set(fitted.draw(1, 50, 0).ravel().round(3)) == {100 - 4.243, 100 + 4.243}
