import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.core import json_files, rundir
from rembrandt_featgen.features import crops, encoders
from rembrandt_featgen.nn import weights
from rembrandt_featgen.segmentation.unet import build_unet, tap_model


@pytest.fixture(scope="module")
def unet():
    tf.keras.utils.set_random_seed(0)
    return build_unet(1, 2)


def finish(folder, config, **figures):
    folder.mkdir(exist_ok=True)
    json_files.write_json(folder / rundir.RECORD, {"config": config, "figures": figures, "inputs": {}})


def test_of_a_tap_and_of_a_run(unet, tmp_path):
    images = tf.random.stateless_normal((2, 32, 32, 1), [1, 2])
    finish(tmp_path / "features", {}, tap="conv2")
    encoder = encoders.encoder(unet, tmp_path / "features")
    wanted = tap_model(unet, "conv2")(images)
    np.testing.assert_array_equal(encoder(images), wanted)
    assert {id(weight) for weight in encoder.weights} <= {id(weight) for weight in unet.weights}
    finish(tmp_path / "slices", {}, channels=["flair"])
    finish(tmp_path / "unet", {"unet_width": 2})
    weights.save(unet.get_weights(), tmp_path / "unet" / "best.npz")
    np.testing.assert_array_equal(encoders.encoder_of_run(tmp_path, "float32")(images), wanted)


def test_of_crops(unet, tmp_path):
    images = tf.random.stateless_normal((2, 32, 32, 1), [1, 2])
    cnn = crops.build_cnn(16, 1, 2)
    finish(tmp_path / "features", {"crop_size": 16, "crop_filters": 2}, tap=crops.TAP)
    (tmp_path / "features" / "cnn").mkdir()
    weights.save(cnn.get_weights(), tmp_path / "features" / "cnn" / "best.npz")
    found = encoders.encoder(unet, tmp_path / "features")(images)
    np.testing.assert_array_equal(found, crops.encoder(unet, cnn)(images))
