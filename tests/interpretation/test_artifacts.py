import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.data.store_writer import Writer
from rembrandt_featgen.features import crops
from rembrandt_featgen.interpretation import artifacts, samples
from rembrandt_featgen.interpretation.artifacts import Artifacts

SHAPE = (2, 2, 3)
CLASSES = Classes.of(("LGG", "HGG"))


def artifacts_of(folders, records, most=1):
    return Artifacts(folders=folders, records=records, classes=CLASSES, most=most, seed=0)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Four HGG and one LGG patient of two slices each, features of them and synthetic ones of HGG alone."""
    root = tmp_path_factory.mktemp("run")
    for name in ("slices", "features", "synthetic", "acgan"):
        (root / name).mkdir()
    tensors = {"image": ((4, 4, 1), "float32"), "mask": ((4, 4, 1), "uint8")}
    patients = ["H1", "H2", "L1", "H3", "H4"]
    for split in ("train", "validation", "test"):
        with (
            Writer(root / "slices", split, tensors) as slices,
            Writer(root / "features", split, {"feature": (SHAPE, "float32")}) as features,
        ):
            for number, patient in enumerate(patients):
                for position in range(2):
                    image, label = np.full((4, 4, 1), 10 * number + position), int(patient[0] == "H")
                    mask = np.zeros((4, 4, 1))
                    mask[: 1 + position] = 1
                    slices.write({"image": image, "mask": mask}, patient, slice_index=position, label=label)
                    features.write(
                        {"feature": np.full(SHAPE, 10 * number + position)}, patient, slice_index=position, label=label
                    )
    with Writer(root / "synthetic", "synthetic", {"feature": (SHAPE, "float32")}) as synthetic:
        for value in (3, 1, 2):
            synthetic.write({"feature": np.full(SHAPE, value)}, "synthetic_HGG", slice_index=0, label=1)
    np.save(root / "acgan" / "scale.npy", np.array([2.0, 0.0, 0.5], np.float32))
    folders = {
        "prepare_slices": root / "slices",
        "extract_features": root / "features",
        "train_generators": root / "acgan",
        "generate_synthetic": root / "synthetic",
    }
    records = {
        "extract_features": {"figures": {"tap": "conv4"}},
        "prepare_slices": {"figures": {"channels": ["flair"]}},
    }
    return artifacts_of(folders, records, most=1000)


@pytest.mark.parametrize(
    ("most", "wanted"), [(1, ["H1", "L1"]), (2, ["H1", "H2", "L1"]), (3, ["H1", "H2", "H3", "L1"])]
)
def test_slices_of_some_patients_of_each_class_positive_first(run, most, wanted):
    found = run.slices("test", most)
    assert found.patients == wanted
    assert found.labels.tolist() == [1] * (len(wanted) - 1) + [0]
    assert (found.images[:, 0, 0, 0] % 10).tolist() == [1] * len(wanted)  # the slice with more tumour


def test_slices_are_read_once(run, monkeypatch):
    run.slices("train")
    monkeypatch.setattr(artifacts.samples, "largest_tumours", None)
    assert run.slices("train", 1).patients == ["H1", "L1"]


def test_volumes_of_a_patient_of_each_class_from_the_bottom_up(run):
    images, masks = run.volumes("train")
    assert list(images) == list(masks) == ["HGG, H1, flair", "LGG, L1, flair"]
    assert images["LGG, L1, flair"][:, 0, 0].tolist() == [20, 21]
    assert masks["HGG, H1, flair"].sum((1, 2)).tolist() == [4, 8]


def test_points_are_of_all_splits_and_synthetic(run):
    assert {split: int(run.points.of(split).sum()) for split in ("train", "validation", "test", "synthetic")} == {
        "train": 10,
        "validation": 10,
        "test": 10,
        "synthetic": 3,
    }


@pytest.mark.parametrize(
    ("split", "name", "value"),
    [("train", "HGG", 30), ("train", "LGG", 21), ("synthetic", "HGG", 2), ("synthetic", "LGG", None)],
)
def test_typical_feature(run, split, name, value):
    found = run.typical(split, name)
    assert found is value is None or found.tolist() == np.full(SHAPE, value).tolist()


def test_features_as_the_discriminator_sees_them(run):
    np.testing.assert_array_equal(run.scaled(np.ones(SHAPE, np.float32))[0, 0], [0.5, 0.0, 2.0])
    lowest = run.folders["train_generators"] / "lowest.npy"
    np.save(lowest, np.array([2.0, 0.0, 0.5], np.float32))  # the middle, as in the reference implementation
    np.testing.assert_array_equal(run.scaled(np.ones(SHAPE, np.float32))[0, 0], [-0.5, 0.0, 1.0])
    lowest.unlink()


def test_tap_and_networks(run, monkeypatch):
    """Each network is restored from its own folder and record."""
    seen = []
    heads = tf.keras.Sequential([tf.keras.layers.Dense(2, name="label", input_shape=(3,))])

    class Gan:
        discriminator = heads

    monkeypatch.setattr(
        artifacts.classifier_export, "restore_classifier", lambda *args, **more: seen.append((*args, more))
    )
    monkeypatch.setattr(artifacts.gan_export, "restore_gan", lambda *args: seen.append(args) or Gan)
    records = {
        "train_classifiers": {
            "config": {"classifier_filters": 5, "classifier_units": 6},
            "figures": {"shape": [2, 2, 3]},
        },
        "export": {"figures": {"classifier": "baseline_cnn"}},
        "train_generators": {"config": {"generators": ["acgan"]}, "figures": {"shape": [2, 2, 3]}},
    }
    other = artifacts_of({"train_classifiers": "c/", "train_generators": "g/"}, records)
    other.classifier()
    assert other.class_head().output_shape == (None, 2)
    assert seen == [
        ("c/", "baseline_cnn", {"shape": SHAPE, "filters": 5, "units": 6, "num_classes": 2}),
        ("g/",),
    ]
    assert run.tap == "conv4"
    of_slices = {"train_generators": {"config": {"generators": ["image_acgan"]}, "figures": {"shape": [4, 4, 1]}}}
    assert artifacts_of({"train_generators": "g/"}, of_slices).class_head() is None  # it sees no features


def test_features_of_crops_are_explained_on_the_crops():
    """The slice and its mask for a block of the U-Net; what is cut of both around the predicted tumour for crops."""
    image = tf.keras.Input((None, None, 1))
    unet = tf.keras.Model(image, tf.keras.layers.Lambda(lambda x: tf.sigmoid(10.0 * (x - 1.0)))(image))
    encoder = crops.encoder(unet, crops.build_cnn(16, 1, 2))
    images, masks = np.zeros((1, 32, 32, 1), np.float32), np.zeros((1, 32, 32), np.uint8)
    images[0, 4:8, 20:24], masks[0, 5:8, 20:25] = 2.0, 1  # centre 5.5, 21.5: from row 0 and column 14 on
    found = samples.Slices(images, masks, ["A"], np.array([1]))
    run = artifacts_of({}, {"extract_features": {"figures": {"tap": "crop_cnn"}}})
    run.__dict__.update(unet=unet, encoder=encoder)
    network, cut, cut_masks = run.encoder_inputs(found)
    np.testing.assert_array_equal(cut, images[:, :16, 14:30])
    np.testing.assert_array_equal(cut_masks, masks[:, :16, 14:30])
    np.testing.assert_allclose(network(cut), encoder(images), rtol=1e-5, atol=1e-6)
    run.records["extract_features"]["figures"]["tap"] = "conv2"
    assert all(a is b for a, b in zip(run.encoder_inputs(found), (encoder, found.images, found.masks)))
