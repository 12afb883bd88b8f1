"""The CNN of crops, and that no training patient's features come from a network that saw the patient."""

import dataclasses

import numpy as np
import pytest

from rembrandt_featgen.features import crop_cnn, crops, cross_fitting
from rembrandt_featgen.features.crop_cnn import Crops
from rembrandt_featgen.nn import weights

PER_PATIENT = 3
SETTINGS = crop_cnn.Settings(size=16, filters=2, epochs=12, patience=0, batch=8, learning_rate=1e-2, folds=2, seed=1)


def make(name, hgg, lgg, missing=0):
    """Crops of patients whose HGG are bright; in the last `missing`, no tumour is predicted."""
    random = np.random.default_rng(len(name))
    labels = np.repeat([1] * hgg + [0] * lgg, PER_PATIENT)
    patients = np.repeat([f"{name}{i}" for i in range(hgg + lgg)], PER_PATIENT)
    images = random.normal(size=(len(labels), 16, 16, 1)) + 2.0 * labels[:, None, None, None]
    has_tumour = np.arange(len(labels)) < len(labels) - missing
    return Crops(images=images.astype(np.float32), labels=labels, patients=patients, has_tumour=has_tumour)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """(train crops, what each network was trained on, encoders, accuracies, folder)."""
    folder, seen = tmp_path_factory.mktemp("features"), {}
    train, original = make("train", 5, 4, missing=2), crop_cnn._train

    def watched(part, validation, *, folder, **settings):
        seen[folder.name] = part, validation
        return original(part, validation, folder=folder, **settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crop_cnn, "_train", watched)
        encoders, accuracy = crop_cnn.fit(
            train, make("v", 2, 2), settings=SETTINGS, folder=folder, logs=folder / "logs"
        )
    return train, seen, encoders, accuracy, folder


def test_no_network_of_a_fold_saw_its_patients(fitted):
    train, seen, encoders, _, _ = fitted
    assert set(seen) == {"cnn", "cnn_fold0", "cnn_fold1"}
    assert set(seen["cnn"][0].patients) == set(train.patients) == set(encoders.fold_of)
    for number in range(2):
        left_out = {patient for patient, fold in encoders.fold_of.items() if fold == number}
        assert left_out
        assert set(seen[f"cnn_fold{number}"][0].patients) == set(train.patients) - left_out
    for part, validation in seen.values():
        assert part.has_tumour.all()  # slices without predicted tumour teach nothing
        assert set(validation.patients) == {"v0", "v1", "v2", "v3"}


def test_no_fold_divides_a_group(tmp_path, monkeypatch):
    """Two patients a group; one of whom no tumour is predicted is left to the network that did not see the other."""
    train, seen = make("train", 4, 4, missing=PER_PATIENT), {}

    def watched(part, validation, *, folder, **settings):
        seen[folder.name] = set(part.patients)
        return crops.build_cnn(16, 1, 2)

    monkeypatch.setattr(crop_cnn, "_train", watched)
    group_of = {f"train{number}": f"g{number // 2}" for number in range(8)}
    encoders, _ = crop_cnn.fit(
        train, make("v", 2, 2), settings=SETTINGS, folder=tmp_path, logs=tmp_path, group_of=group_of
    )
    assert "train7" not in seen["cnn"] and set(encoders.fold_of) == set(group_of)
    for patient, number in encoders.fold_of.items():
        mates = {other for other in group_of if group_of[other] == group_of[patient]}
        assert not mates & seen[f"cnn_fold{number}"]


def test_features_of_training_patients_come_from_the_network_that_never_saw_them(fitted):
    train, _, encoders, _, _ = fitted
    chosen = [0, 6, 26, 12]
    images, patients = train.images[chosen], train.patients[chosen]
    found = encoders.runner()(images, patients)
    assert found.shape == (4, 1, 1, 16)
    for image, patient, feature in zip(images, patients, found):
        network, kernel = encoders.folds[encoders.fold_of[patient]]
        wanted = cross_fitting.mapped(network.predict_on_batch(image[None]), kernel)[0]
        np.testing.assert_allclose(feature, wanted, rtol=1e-4, atol=1e-5)
    whole = encoders.network.predict_on_batch(images)
    assert np.abs(found - whole).max() > 1e-3
    others = encoders.runner()(images, np.array(["test0", "v0", "test1", "test2"]))
    np.testing.assert_allclose(others, whole, rtol=1e-5, atol=1e-6)
    mixed = encoders.runner()(images[:2], np.array(["test0", patients[1]]))
    np.testing.assert_allclose(mixed, [whole[0], found[1]], rtol=1e-4, atol=1e-5)


def test_channels_of_folds_are_mapped_onto_those_of_the_whole(fitted):
    """Cross-fitted features lie much nearer to those of the CNN of all than those of its fold as they are."""
    train, _, encoders, _, _ = fitted
    wanted = encoders.network.predict_on_batch(train.images)
    near = np.mean((encoders.runner()(train.images, train.patients) - wanted) ** 2)
    folds = np.array([encoders.fold_of[patient] for patient in train.patients])
    raw = np.stack([network.predict_on_batch(train.images) for network, _ in encoders.folds])
    assert near < 0.5 * np.mean((raw[folds, np.arange(len(folds))] - wanted) ** 2)


def test_what_can_be_learnt_is_learnt_and_kept(fitted):
    train, _, encoders, accuracy, folder = fitted
    assert set(accuracy) == {"train", "validation", "cross_fitted"}
    assert min(accuracy.values()) > 0.9
    restored = crops.build_cnn(16, 1, 2)
    weights.load(restored, folder / "cnn" / "best.npz")
    found = crops.of_crops(restored).predict_on_batch(train.images)
    np.testing.assert_allclose(found, encoders.network.predict_on_batch(train.images), rtol=1e-5, atol=1e-6)


def test_random_classes_are_memorised_and_not_cross_fitted(tmp_path):
    """Each patient has a pattern: the classes of patients that were seen are memorised, those of others guessed."""
    random = np.random.default_rng(3)
    patterns = random.normal(size=(12, 1, 16, 16, 1))
    images = (patterns + 0.05 * random.normal(size=(12, 3, 16, 16, 1))).reshape(-1, 16, 16, 1).astype(np.float32)
    labels, patients = np.repeat([0, 1] * 6, 3), np.repeat([f"p{i}" for i in range(12)], 3)
    train = Crops(images=images, labels=labels, patients=patients, has_tumour=np.ones(36, bool))
    settings = crop_cnn.Settings(
        size=16, filters=4, epochs=15, patience=0, batch=12, learning_rate=1e-2, folds=2, seed=0
    )
    accuracy = crop_cnn.fit(train, train, settings=settings, folder=tmp_path, logs=tmp_path / "logs")[1]
    assert accuracy["train"] > 0.9
    assert accuracy["cross_fitted"] < 0.75


def test_slices_without_predicted_tumour_are_learnt_from_where_a_class_has_no_others():
    part = make("P", 2, 2, missing=6)  # all of LGG
    assert crop_cnn._useful(part).all()
    assert crop_cnn._useful(make("P", 2, 2, missing=5)).sum() == 7


def test_three_classes_are_learnt_from_crops(tmp_path):
    random, labels = np.random.default_rng(0), np.repeat([0, 1, 2], 12)
    images = random.normal(size=(36, 16, 16, 1)) + 2.0 * labels[:, None, None, None]
    part = Crops(
        images=images.astype(np.float32),
        labels=labels,
        patients=np.array([f"p{i // 3}" for i in range(36)]),
        has_tumour=np.ones(36, bool),
    )
    settings = dataclasses.replace(SETTINGS, folds=0, num_classes=3)
    _, accuracy = crop_cnn.fit(
        part, part._replace(patients=np.char.add("v", part.patients)), settings=settings, folder=tmp_path, logs=tmp_path
    )
    assert accuracy["validation"] > 0.6  # chance is a third
    assert crops.build_cnn(16, 1, 2, num_classes=3).output_shape == (None, 3)
