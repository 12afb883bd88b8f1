"""Features of crops in a run: the store holds what the CNN makes of the predicted tumour's crop."""

import logging

import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.cohort import patient_files
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.cohort.patients import Patient
from rembrandt_featgen.core import json_files, rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data import pipelines
from rembrandt_featgen.data.preparation import Preparation
from rembrandt_featgen.data.store import Store
from rembrandt_featgen.data.store_writer import Writer
from rembrandt_featgen.features import crops, encoders, streams
from rembrandt_featgen.nn import weights
from rembrandt_featgen.segmentation import unet_export
from rembrandt_featgen.stages import extract_features

SIZE, CROP = 32, 16
CLASSES = Classes.of(("control", "case")).record
TINY = {"tap": crops.TAP, "crop_size": CROP, "crop_filters": 2, "crop_epochs": 2, "crop_batch": 8, "extract_batch": 5}


def thresholding_unet(*_, **__):
    """Predicts tumour where a slice is above 1."""
    image = tf.keras.Input((None, None, 1))
    return tf.keras.Model(image, tf.keras.layers.Lambda(lambda x: tf.sigmoid(10.0 * (x - 1.0)))(image))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run of two slices a patient, a square of tumour in the first of each."""
    run_dir, random = tmp_path_factory.mktemp("run"), np.random.default_rng(0)
    for name in ("slices", "unet"):
        (run_dir / name).mkdir()
        figures = {"channels": ["flair"], "image_size": SIZE} if name == "slices" else {}
        json_files.write_json(
            run_dir / name / rundir.RECORD,
            {"config": {"image_size": SIZE}, "figures": figures, "inputs": {}, "classes": CLASSES},
        )
    names = [
        f"{split}{number}" for split, count in (("train", 6), ("validation", 2), ("test", 2)) for number in range(count)
    ]
    patient_files.write_patients(
        run_dir / "slices", [Patient(name, "case", images={}, mask=run_dir) for name in names], ()
    )
    tensors = {"image": ((SIZE, SIZE, 1), "float32"), "mask": ((SIZE, SIZE, 1), "uint8")}
    for split, count in (("train", 6), ("validation", 2), ("test", 2)):
        with Writer(run_dir / "slices", split, tensors) as writer:
            for i in range(2 * count):
                image = random.uniform(-1, 0.5, (SIZE, SIZE, 1)).astype(np.float32)
                if i % 2 == 0:
                    image[5:11, 18:26] = random.uniform(1.5, 3.0)
                writer.write(
                    {"image": image, "mask": image > 1}, f"{split}{i // 2}", slice_index=i % 2, label=i // 2 % 2
                )
    return run_dir


@pytest.fixture
def run_dir(made, monkeypatch):
    """That run without features, whose U-Net finds the squares."""
    monkeypatch.setattr(unet_export, "restore_unet", thresholding_unet)
    if (made / "features").exists():
        (made / "features").rename(made / f"features_{len(list(made.iterdir()))}")
    return made


def stored(run_dir, split):
    return np.stack([record["feature"] for record in Store(run_dir / "features", split).dataset().as_numpy_iterator()])


def test_the_store_holds_features_of_crops(run_dir, caplog):
    with caplog.at_level(logging.INFO, logger="absl"):
        extract_features.run(extract_features.Config(str(run_dir), **TINY, crop_folds=2))
    assert "crops of train: tumour is predicted in 6 of 12 slices; of the other 6, the centre is cut" in caplog.text
    figures = json_files.read_json(run_dir / "features" / rundir.RECORD)["figures"]
    assert (figures["tap"], figures["shape"]) == ("crop_cnn", [1, 1, 16])
    assert figures["features"] == {"train": 12, "validation": 4, "test": 4}
    assert figures["accuracy"].keys() == {"train", "validation", "cross_fitted"}
    cnn = crops.build_cnn(CROP, 1, 2)
    weights.load(cnn, run_dir / "features" / "cnn" / "best.npz")
    images = [record["image"] for record in Store(run_dir / "slices", "test").dataset().as_numpy_iterator()]
    # centre of the square: row 7.5, column 21.5; of the slice: 15.5
    wanted = [image[8:24, 8:24] if number % 2 else image[0:16, 14:30] for number, image in enumerate(images)]
    np.testing.assert_allclose(stored(run_dir, "test"), crops.of_crops(cnn)(np.stack(wanted)), rtol=1e-4, atol=1e-5)
    encoder = encoders.encoder_of_run(run_dir, "float32")
    np.testing.assert_allclose(stored(run_dir, "validation"), encoded(run_dir, encoder, "validation"), atol=1e-5)
    assert np.abs(stored(run_dir, "train") - encoded(run_dir, encoder, "train")).max() > 1e-3  # by networks of folds


def encoded(run_dir, encoder, split):
    return np.concatenate([encoder(batch["image"]) for batch in pipelines.slices(run_dir / "slices", split, 5)])


def test_what_is_exported_cuts_its_own_crops(run_dir, tmp_path):
    extract_features.run(extract_features.Config(str(run_dir), **TINY, crop_folds=0))
    unet = thresholding_unet()
    encoder = encoders.encoder(unet, run_dir / "features")
    module, signatures = unet_export.segmenter(
        unet,
        encoder,
        preparation=Preparation("cohort", "none", "crop", SIZE, 1, (0.0,), (1.0,)),
        modalities=["flair"],
    )
    tf.saved_model.save(module, str(tmp_path / "unet"), signatures)
    images = np.stack([record["image"] for record in Store(run_dir / "slices", "test").dataset().as_numpy_iterator()])
    found = tf.saved_model.load(str(tmp_path / "unet")).signatures["segment"](image=tf.constant(images))
    np.testing.assert_allclose(found["feature"], stored(run_dir, "test"), rtol=1e-4, atol=1e-5)


def test_without_folds_they_can_be_computed_as_they_are_needed(run_dir):
    extract_features.run(extract_features.Config(str(run_dir), **TINY, crop_folds=0, features_from="slices"))
    assert json_files.read_json(run_dir / "features" / rundir.RECORD)["figures"]["accuracy"].keys() == {
        "train",
        "validation",
    }
    found = np.concatenate([batch["feature"] for batch in streams.features(run_dir / "features", "train", 5)])
    encoder = encoders.encoder_of_run(run_dir, "float32")
    np.testing.assert_allclose(found, encoded(run_dir, encoder, "train"), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crop_size": 24}, r"--crop_size=24 must be a multiple of 16, and at most 32, the size of slices; take 16"),
        ({"crop_size": 48}, r"--crop_size=48 .* take 32"),
        ({"features_from": "slices", "crop_folds": 4}, r"--features_from=slices .* take --features_from=store or"),
        ({"tap": "crops"}, r"--tap=crops is no block of the U-Net, nor crop_cnn; take one of conv1, .*, crop_cnn"),
    ],
)
def test_what_cannot_be_had_is_one_line(run_dir, changes, message):
    with pytest.raises(InputError, match=message):
        extract_features.run(extract_features.Config(str(run_dir), **{**TINY, **changes}))
    assert not list(run_dir.glob("features"))
