import numpy as np
import pytest
from scipy import stats
from sklearn.metrics.pairwise import euclidean_distances

from rembrandt_featgen.measures import memorisation, pooled_features


@pytest.fixture(params=[1024, 7], ids=["one block", "many blocks"])
def block(request, monkeypatch):
    monkeypatch.setattr(pooled_features, "BLOCK", request.param)


def memorised(training, held_out, synthetic):
    """Audit of (features, patients) of training and of held-out samples."""
    return memorisation.audit(
        training=training[0],
        training_patients=training[1],
        held_out=held_out[0],
        held_out_patients=held_out[1],
        synthetic=synthetic,
    )


def slices(generator, patients, samples, d=8, within=0.3):
    """Features of patients, near to each other within a patient, and ids."""
    centres = generator.normal(size=(patients, 1, d))
    found = centres + within * generator.normal(size=(patients, samples, d))
    return found.reshape(-1, d), np.repeat([f"p{i:02d}" for i in range(patients)], samples)


def audited(generator, synthetic_of, held_out=20, samples=5, within=0.3):
    training, ids = slices(generator, 30, 10, within=within)
    others, other_ids = slices(generator, held_out, samples, within=within)
    others_named = np.char.add("new ", other_ids)
    return memorised((training, ids), (others, others_named), synthetic_of(generator, training))


def new_patients(generator, training):
    return slices(generator, 200, 1)[0]


def copies(generator, training):
    return training[:100] + 1e-3 * generator.normal(size=(100, 8))


def test_copies_are_found_with_their_patients():
    found = audited(np.random.default_rng(0), copies)
    assert found.memorised
    assert found.share_nearer_1 == found.share_nearer_5 == found.auroc == 1.0
    assert found.median_ratio < 0.01
    assert found.p_value < 1e-6
    assert found.copied_patients == {f"p{i:02d}": 10 for i in range(10)}


def labelled(generator, patients, samples, *, widths=(1.0, 1.0), name="p"):
    """Samples of two classes in one place, whose patients differ within each class by its width."""
    parts = [slices(generator, patients, samples, within=0.1) for _ in widths]
    labels = np.repeat([0, 1], patients * samples)
    samples = np.concatenate([width * part[0] for width, part in zip(widths, parts)])
    ids = np.concatenate([np.char.add(f"{name}{label}", part[1]) for label, part in enumerate(parts)])
    return memorisation.Labelled(samples, labels, ids)


def test_copies_of_a_wide_class_do_not_hide_behind_a_tight_one():
    """Pooled, the nearest of held-out samples are those of the tight class, nearer than any copy of the wide one."""
    generator = np.random.default_rng(3)
    training, held_out, new = (
        labelled(generator, 25, 4, widths=(0.01, 10.0), name=name) for name in ("train", "test", "new")
    )
    noise = 0.3 * generator.normal(size=training.samples.shape)
    copies = np.where((training.labels == 1)[:, None], training.samples + noise, new.samples)
    pooled = memorised((training.samples, training.patients), (held_out.samples, held_out.patients), copies)
    assert not pooled.memorised
    found, each = memorisation.audit_of_classes(training, held_out, memorisation.Labelled(copies, training.labels))
    assert found.memorised
    assert [each[label].memorised for label in (0, 1)] == [False, True]
    assert all(name.startswith("train1") for name in list(found.copied_patients)[:20])
    assert found.p_value == pytest.approx(2 * each[1].p_value)
    assert found.share_nearer_1 == pytest.approx((each[0].share_nearer_1 + each[1].share_nearer_1) / 2)


def test_new_patients_of_a_tight_class_are_no_copies():
    generator = np.random.default_rng(4)
    training, held_out, new = (
        labelled(generator, 25, 4, widths=(0.01, 10.0), name=name) for name in ("train", "test", "new")
    )
    tight = memorisation.Labelled(new.samples[new.labels == 0], new.labels[new.labels == 0])
    assert (
        memorised(  # all of them are nearer than the wide class ever is
            (training.samples, training.patients), (held_out.samples, held_out.patients), tight.samples
        ).auroc
        > 0.7
    )
    found, each = memorisation.audit_of_classes(training, held_out, tight)
    assert list(each) == [0]
    assert not found.memorised
    assert 0.35 < found.auroc < 0.65


@pytest.mark.parametrize(("widths", "moved"), [((1.0, 1.0), True), ((1.0, 1.0), False), ((0.2, 3.0), False)])
def test_patients_moved_into_another_class_are_copies(widths, moved):
    """New patients are none, whatever the spreads of the classes."""
    found = []
    for seed in range(1 if moved else 25):
        generator = np.random.default_rng(seed)
        training, held_out, new = (
            labelled(generator, 25, 4, widths=widths, name=name) for name in ("train", "test", "new")
        )
        places = 5.0 * np.array([1, -1])
        training, held_out, new = (
            part._replace(samples=part.samples + places[part.labels][:, None]) for part in (training, held_out, new)
        )
        synthetic = memorisation.Labelled(new.samples, new.labels)
        if moved:
            synthetic = memorisation.Labelled(
                training.samples - 2 * places[training.labels][:, None], 1 - training.labels
            )
        found.append(memorisation.audit_of_classes(training, held_out, synthetic))
    if moved:
        [(together, each)] = found
        assert together.memorised and together.share_nearer_1 < 0.1 and together.share_across_1 > 0.95
        assert all(name.startswith("train1") for name in each[0].copied_patients) and each[0].copied_patients
    assert moved or np.mean([together.memorised for together, _ in found]) <= 0.12


def test_a_class_without_held_out_patients_is_left_out():
    generator = np.random.default_rng(5)
    training, held_out = labelled(generator, 5, 2), labelled(generator, 5, 2, name="q")
    lone = memorisation.Labelled(*(column[held_out.labels == 0] for column in held_out))
    found, each = memorisation.audit_of_classes(
        training, lone, memorisation.Labelled(training.samples, training.labels)
    )
    assert list(each) == [0] and found.memorised
    assert np.isnan(found.share_across_1) and np.isnan(found.limit_across_1)  # nobody of another class was held out
    nothing, none = memorisation.audit_of_classes(
        training, lone, memorisation.Labelled(training.samples[:3], np.ones(3, int))
    )
    assert not none and not nothing.memorised and np.isnan(nothing.auroc)


def test_exact_copies_are_at_no_distance():
    assert audited(np.random.default_rng(0), lambda _, training: training[5:8]).median_synthetic == 0.0


def test_new_patients_are_no_copies():
    found = audited(np.random.default_rng(0), new_patients)
    assert not found.memorised
    assert 0.35 < found.auroc < 0.65
    assert found.p_value > 0.05
    assert found.median_ratio == pytest.approx(1.0, abs=0.15)


def test_a_few_copied_patients_among_many_new_ones_are_found():
    def mixed(generator, training):
        return np.concatenate([new_patients(generator, training)[:85], training[:15]])

    found = audited(np.random.default_rng(1), mixed, held_out=40)
    assert found.memorised
    assert 0.07 < found.limit_1 < 0.15 <= found.share_nearer_1 < 0.25
    assert list(found.copied_patients.items())[0] == ("p00", 10)
    assert found.p_value > 0.05  # as a whole, they are not much nearer


@pytest.mark.parametrize(("held_out", "wanted"), [(5, 0.45), (40, 0.072)])  # 1 - 0.05^(1 / patients)
def test_the_limit_is_that_of_the_smallest_of_the_held_out_patients(held_out, wanted):
    generator = np.random.default_rng(0)
    found = memorised(
        (generator.normal(size=(9, 2)), np.arange(9)),
        (generator.normal(size=(held_out, 2)), np.arange(9, 9 + held_out)),
        generator.normal(size=(5000, 2)),
    )
    assert found.limit_1 == pytest.approx(wanted, abs=0.005)


@pytest.mark.parametrize(("held_out", "samples", "within"), [(6, 1, 0.3), (25, 8, 0.05), (120, 2, 0.3)])
def test_who_copies_nothing_is_seldom_called_a_copier(held_out, samples, within):
    generator = np.random.default_rng(2)

    def others(generator, training):
        return slices(generator, 120, 1, within=within)[0]

    found = [audited(generator, others, held_out=held_out, samples=samples, within=within) for _ in range(150)]
    assert np.mean([x.memorised for x in found]) < 0.05 + 3 * 0.018
    assert np.mean([x.p_value <= 0.05 for x in found]) < 0.05 + 3 * 0.018


def test_ranks_agree_with_mann_and_whitney():
    generator = np.random.default_rng(3)
    training, held_out, synthetic = (generator.normal(size=(n, 3)) for n in (20, 9, 25))
    synthetic *= 0.8
    found = memorised((training, np.arange(20)), (held_out, np.arange(20, 29)), synthetic)
    own, others = (euclidean_distances(x, training).min(axis=1) for x in (synthetic, held_out))
    wanted = stats.mannwhitneyu(others, own, use_continuity=False, alternative="greater", method="asymptotic")
    assert 0.001 < wanted.pvalue < 0.999
    assert found.auroc == pytest.approx(wanted.statistic / (9 * 25))
    assert found.p_value == pytest.approx(wanted.pvalue)
    assert found.median_ratio == pytest.approx(np.median(own) / np.median(others))
    assert found.share_nearer_1 == found.share_nearer_5 == pytest.approx(np.mean(own < others.min()))


def test_closest_five_percent_of_forty_are_those_below_the_second():
    held_out = np.arange(1.0, 41)[:, None]  # at distances 1, 2, ... from the one training sample
    synthetic = np.array([[0.5], [1.0], [1.5], [2.0], [9.0]])
    found = memorised((np.zeros((1, 1)), np.zeros(1)), (held_out, np.arange(1, 41)), synthetic)
    assert (found.share_nearer_1, found.share_nearer_5) == (1 / 5, 3 / 5)  # below 1, below 2
    # 1.0 ties with one and 2.0 with another: of 40 each, 40, 39.5, 39, 38.5 and 31.5 are farther
    assert found.auroc == pytest.approx((40 + 39.5 + 39 + 38.5 + 31.5) / 200)


def test_each_held_out_patient_counts_once_whatever_its_samples():
    generator = np.random.default_rng(4)
    training, ids = slices(generator, 10, 3)
    held_out, synthetic = slices(generator, 8, 1)[0], slices(generator, 30, 1)[0]
    other_ids = np.arange(8).astype(str)
    wanted = memorised((training, ids), (held_out, other_ids), synthetic)
    repeats = np.array([9, 1, 1, 5, 1, 1, 2, 1])
    repeated = [np.repeat(x, repeats, axis=0) for x in (held_out, other_ids)]
    found = memorised((training, ids), repeated, synthetic)
    for name, value in found._asdict().items():
        assert value == pytest.approx(getattr(wanted, name), nan_ok=True), name


def test_scale_and_order_change_no_share(block):
    generator = np.random.default_rng(5)
    training, ids = slices(generator, 10, 3)
    held_out, other_ids = slices(generator, 8, 2)
    other_ids = np.char.add("new ", other_ids)
    synthetic = np.concatenate([slices(generator, 30, 1)[0], training[:12]])
    wanted = memorised((training, ids), (held_out, other_ids), synthetic)
    order = generator.permutation(len(training))
    found = memorised(
        (100 * training[order], ids[order]), (100 * held_out[::-1], other_ids[::-1]), 100 * synthetic[::-1]
    )
    assert wanted.copied_patients
    for name in set(wanted._fields) - {"median_synthetic", "median_held_out"}:
        assert getattr(found, name) == pytest.approx(getattr(wanted, name), nan_ok=True), name
    assert found.median_synthetic == pytest.approx(100 * wanted.median_synthetic)


def test_ids_that_do_not_fit_are_refused():
    x = np.zeros((2, 2))
    with pytest.raises(ValueError, match="patient b is in training and held out"):
        memorised((x, np.array(["a", "b"])), (x, np.array(["b", "c"])), x)
    with pytest.raises(ValueError, match="3 and 2 patients for 2 training and 2 held-out samples"):
        memorised((x, np.array(["a", "b", "c"])), (x, np.array(["d", "e"])), x)
