import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from rembrandt_featgen.measures import membership_inference

PATIENTS, GAMES = 40, 20
LABELS = np.repeat([0, 1], PATIENTS // 2)


def games(random):
    """[games, patients] bool: half of each class."""
    halves = [random.permuted(np.arange(PATIENTS // 2) % 2 == 0) for _ in range(2 * GAMES)]
    return np.array(halves).reshape(GAMES, PATIENTS)


def played(copied, seed=0, noise=0.05, spread=0.0):
    """Scores of all attacks on a generator that copies members with noise, or draws new patients; and the members."""
    random = np.random.default_rng(seed)
    cohort = random.normal(size=(PATIENTS, 6)) * np.exp(spread * random.normal(size=(PATIENTS, 1))) + LABELS[:, None]
    members = games(random)
    names = ("closeness", "density_ratio")
    scores = {name: np.full(members.shape, np.nan) for name in names}
    for game, member in enumerate(members):
        for label in (0, 1):
            rows = np.flatnonzero(label == LABELS)
            inside, outside = rows[member[rows]], rows[~member[rows]]
            synthetic = cohort[inside] + noise * random.normal(size=(10, 6))
            if not copied:
                synthetic = random.normal(size=(10, 6)) + label
            tested, reference = outside[: len(outside) // 2], outside[len(outside) // 2 :]
            seen = np.concatenate([inside, tested])
            scores["closeness"][game, rows] = membership_inference.closeness(cohort[rows], synthetic)
            scores["density_ratio"][game, seen] = membership_inference.density_ratio(
                cohort[seen], synthetic, cohort[reference]
            )
    scores["likelihood_ratio"] = membership_inference.likelihood_ratio(scores["closeness"], members, LABELS)
    return scores, members


def test_a_copier_is_found():
    scores, members = played(copied=True)
    for name, one in scores.items():
        found = membership_inference.attack(one, members, LABELS, draws=200)
        assert found.auroc > 0.9 and found.interval[0] > 0.85, name
        assert found.caught > 0.8 and found.caught_interval[0] > 0.6


def test_the_likelihood_ratio_finds_what_distances_do_not():
    """Of copies that were moved, where some patients are in a crowd and others alone."""
    scores, members = played(copied=True, noise=0.7, spread=1.0)
    aurocs = {name: membership_inference.attack(one, members, LABELS, draws=50).auroc for name, one in scores.items()}
    assert aurocs["likelihood_ratio"] > aurocs["closeness"] + 0.03


def test_a_generator_of_other_patients_gives_nothing_away():
    """The interval of 20 cohorts holds 0.5, for each attack, as often as it should."""
    held, means = {}, {}
    for seed in range(20):
        scores, members = played(copied=False, seed=seed)
        for name, one in scores.items():
            found = membership_inference.attack(one, members, LABELS, draws=200)
            held.setdefault(name, []).append(found.interval[0] <= 0.5 <= found.interval[1])
            means.setdefault(name, []).append(found.auroc)
    for name in held:
        assert np.mean(held[name]) >= 0.8, name
        assert np.mean(means[name]) == pytest.approx(0.5, abs=0.03), name


def test_what_a_game_does_to_all_patients_does_not_hide_members():
    scores, members = played(copied=True, noise=0.7, spread=0.6)
    shifts = np.random.default_rng(1).normal(0, 3, (GAMES, 1)) + LABELS
    both = [
        membership_inference.likelihood_ratio(scores["closeness"] + shift, members, LABELS) for shift in (0, shifts)
    ]
    assert np.allclose(*both)
    assert membership_inference.attack(both[1], members, LABELS, draws=20).auroc > 0.8


def test_agrees_with_scikit_learn():
    random = np.random.default_rng(0)
    scores, members = random.integers(0, 9, (1, PATIENTS)).astype(float), games(random)[:1]
    one = np.zeros(PATIENTS, int)
    found = membership_inference.attack(scores, members, one, draws=20)
    assert found.auroc == pytest.approx(roc_auc_score(members[0], scores[0]))
    assert found.by_label[0][0] == found.auroc
    false, true, _ = roc_curve(members[0], scores[0], drop_intermediate=False)
    assert found.caught == pytest.approx(true[false <= 0.1].max())


def test_patients_of_one_group_are_drawn_together():
    scores, members = played(copied=True, noise=0.5)
    alone, paired = (
        membership_inference.attack(scores["closeness"], members, LABELS, groups=groups, draws=400)
        for groups in (None, np.arange(PATIENTS) // 10)
    )
    assert alone.auroc == paired.auroc and alone.interval != paired.interval


def test_patients_without_a_part_are_left_out():
    scores, members = np.array([[1.0, 0.0, np.nan, np.nan]]), np.array([[True, False, True, False]])
    assert membership_inference.attack(scores, members, np.zeros(4, int), draws=10).auroc == 1.0
    ratio = membership_inference.likelihood_ratio(np.ones((3, 1)), np.array([[True], [True], [False]]), np.zeros(1))
    assert np.isnan(ratio).all()  # too few games


@pytest.mark.parametrize("moved", [True, False])
def test_patients_moved_into_the_other_class_are_found(moved):
    """And nobody is by a generator that knows other patients alone, on average over cohorts; the interval knows it."""
    aurocs, held = [], []
    for seed in range(2 if moved else 12):
        random = np.random.default_rng(seed)
        cohort = random.normal(size=(PATIENTS, 6)) + 3.0 * LABELS[:, None]
        members = games(random)
        scores = np.zeros(members.shape)
        for game, member in enumerate(members):
            source = cohort if moved else random.normal(size=cohort.shape) + 3.0 * LABELS[:, None]
            seen = source[member]
            synthetic_labels = 1 - LABELS[member]
            synthetic = seen + 3.0 * (synthetic_labels - LABELS[member])[:, None]
            scores[game] = membership_inference.aligned_closeness(
                cohort, synthetic, labels=LABELS, synthetic_labels=synthetic_labels
            )
        found = membership_inference.attack(scores, members, LABELS, draws=200)
        ratio = membership_inference.likelihood_ratio(scores, members, LABELS)
        aurocs.append([found.auroc, membership_inference.attack(ratio, members, LABELS, draws=2).auroc])
        held.append(found.interval[0] <= 0.5 <= found.interval[1])
    if moved:
        assert np.min(aurocs) > 0.85 and not any(held)
    else:
        assert np.mean(aurocs, axis=0) == pytest.approx([0.5, 0.5], abs=0.03) and np.mean(held) >= 0.8


def test_aligned_closeness_takes_means_of_synthetic_classes_away():
    synthetic, of_classes = np.array([[0.0], [2.0], [10.0], [16.0]]), np.array([0, 0, 1, 1])
    candidates = np.array([[3.0], [13.5]])
    found = membership_inference.aligned_closeness(
        candidates, synthetic, labels=np.array([0, 1]), synthetic_labels=of_classes
    )
    assert np.exp(-found) == pytest.approx([1.0, 0.5])  # deviations 2 and 0.5 beside -1, 1, -3 and 3
    with pytest.raises(ValueError, match="candidates of classes"):
        membership_inference.aligned_closeness(
            candidates, synthetic, labels=np.array([0, 2]), synthetic_labels=of_classes
        )
