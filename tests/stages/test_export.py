import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.classification import classifier_export, map_networks
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.data.preparation import Preparation
from rembrandt_featgen.generation import gan_export
from rembrandt_featgen.generation.gan import build_gan
from rembrandt_featgen.generation.gan_spec import GanSpec
from rembrandt_featgen.segmentation import unet_export
from rembrandt_featgen.segmentation.unet import build_unet, tap_model

GRADES = ("LGG", "HGG")
SHAPE, SCALE = (2, 2, 3), np.array([2.0, 0.0, 0.5])


@pytest.fixture
def folder(tmp_path):
    """The three models as the export stage saves them."""
    unet = build_unet(2, 4)
    spec = GanSpec("acgan", SHAPE, 2, filters_generator=4, filters_discriminator=4, latent=3)
    gan = build_gan(spec, SCALE)
    classifier = map_networks.build_classifier(map_networks.Architecture("cnn", SHAPE, filters=4, units=4), SCALE)
    models = {
        "unet": unet_export.segmenter(
            unet,
            tap_model(unet, "conv5"),
            preparation=Preparation("cohort", "none", "crop", 32, 1, (100.0, 7.0), (25.0, 0.0)),
            modalities=("flair", "t1"),
        ),
        "generator": gan_export.generator(gan, Classes.of(GRADES)),
        "classifier": classifier_export.classifier(classifier, Classes.of(GRADES)),
    }
    for name, (module, signatures) in models.items():
        tf.saved_model.save(module, str(tmp_path / name), signatures)
    return tmp_path


def test_tensorflow_alone_runs_all_three(folder):
    script = f"""
import sys, tensorflow as tf
unet, generator, classifier = (tf.saved_model.load("{folder}/" + n) for n in ("unet", "generator", "classifier"))
feature = generator.sample(2, 1, tf.constant([0, 0], tf.int64))["feature"]
probability = classifier.classify(feature)["probability"]
mask = unet.segment(tf.zeros((1, 40, 30, 2)))["mask"]
print(feature.shape, probability.shape, mask.shape, sorted(set(sys.modules) & {{
    "tensorlayer", "tensorflow_addons", "rembrandt_featgen"}}))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(2, 2, 2, 3) (2, 2) (1, 40, 30, 1) []"
