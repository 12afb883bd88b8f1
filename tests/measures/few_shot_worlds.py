"""Few-shot draws of cohorts whose truth is known, by a classifier that is a formula."""

import numpy as np

SHIFT, COLUMNS, DRAWS = 1.5, 10, 30


def tested(random, sizes=(40, 20), shots=3, reserve=5, share=0.3, draws=DRAWS):
    """Whom each draw tests and trains on: two of [draws, patients]."""
    n, few = sum(sizes), sizes[0] + np.arange(sizes[1])
    test, train = np.zeros((draws, n), bool), np.zeros((draws, n), bool)
    for draw in range(draws):
        others, order = random.permutation(sizes[0]), random.permutation(few)
        cut = round(share * sizes[0])
        test[draw, others[:cut]] = train[draw, others[cut:]] = True
        train[draw, order[:shots]] = test[draw, order[shots + reserve :]] = True
    return test, train


def scores(random, test, train, labels):
    """Scores [draws, patients, 2] by the difference of the means of training patients, NaN where not tested."""
    features = random.normal(size=(len(labels), COLUMNS))
    features[labels == 1, 0] += SHIFT
    means = [
        (train & (labels == label)) @ features / (train & (labels == label)).sum(axis=1)[:, None] for label in (0, 1)
    ]
    of_patients = np.where(test, (means[1] - means[0]) @ features.T, np.nan)
    return np.stack([-of_patients, of_patients], axis=2)
