"""A generator of slices in a run: trained on slices, its features made by the U-Net that makes those of real ones."""

import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core import json_files, registry, rundir
from rembrandt_featgen.data.store import Store
from rembrandt_featgen.data.store_writer import Writer
from rembrandt_featgen.features import encoders
from rembrandt_featgen.generation import gan_export
from rembrandt_featgen.generation.encoded_gan import EncodedGAN
from rembrandt_featgen.nn import weights
from rembrandt_featgen.segmentation import unet_export
from rembrandt_featgen.segmentation.unet import build_unet, tap_model
from rembrandt_featgen.stages import extract_features, generate_synthetic, train_generators

SIZE, WIDTH, KIND = 32, 2, "image_acgan"
CLASSES = Classes.of(("LGG", "HGG"))
BACKGROUND = -0.5  # of normalised slices
WANTED = 4  # features of each class


def finish(folder, config, **figures):
    record = {"config": config, "figures": figures, "inputs": {}, "classes": CLASSES.record}
    json_files.write_json(folder / rundir.RECORD, record)


def config(run_dir):
    tiny = {
        "ndf": 8,
        "ngf": 8,
        "gan_latent": 3,
        "gan_epochs": 2,
        "gan_batch": 4,
        "seed": 4,
    }  # others give nothing but background so soon
    return train_generators.Config(run_dir=str(run_dir), generators=(KIND,), **tiny)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Slices whose bright square is at the left in LGG, at the right in HGG; U-Net, features, and the generator."""
    run_dir = tmp_path_factory.mktemp("run")
    random = np.random.default_rng(0)
    for name in ("slices", "unet"):
        (run_dir / name).mkdir()
    tensors = {"image": ((SIZE, SIZE, 1), "float32"), "mask": ((SIZE, SIZE, 1), "uint8")}
    for split, count in (("train", 8), ("validation", 2), ("test", 2)):
        with Writer(run_dir / "slices", split, tensors) as writer:
            for i in range(count):
                image, left = np.full((SIZE, SIZE, 1), BACKGROUND, np.float32), 4 + 16 * (i % 2)
                image[8:20, left : left + 10] = random.uniform(1.0, 3.0)
                writer.write({"image": image, "mask": image > 0}, f"{split}_{i}", slice_index=i, label=i % 2)
    finish(run_dir / "slices", {}, channels=["flair"], image_size=SIZE)
    tf.keras.utils.set_random_seed(1)
    weights.save(build_unet(1, WIDTH).get_weights(), run_dir / "unet" / "best.npz")
    finish(run_dir / "unet", {"unet_width": WIDTH})
    train_generators.run(config(run_dir))  # before there are features: it needs none
    extract_features.run(extract_features.Config(str(run_dir), tap="conv3", extract_batch=5, store_dtype="float16"))
    generate_synthetic.run(
        generate_synthetic.Config(
            run_dir=str(run_dir), generators=(KIND,), synthetic_per_class=WANTED, generate_tries=100
        )
    )
    return run_dir


def gan_of(run_dir):
    folder = run_dir / registry.folder("train_generators", KIND)
    record = json_files.read_json(folder / rundir.RECORD)
    return gan_export.restore_gan(folder), record


def test_it_learns_from_training_slices_alone(run):
    _, record = gan_of(run)
    assert record["inputs"].keys() == {"slices"}
    assert record["figures"]["shape"] == [SIZE, SIZE, 1]
    assert np.load(run / "generator_image_acgan" / "lowest.npy").tolist() == [BACKGROUND]
    images = np.stack([entry["image"] for entry in Store(run / "slices", "train").dataset().as_numpy_iterator()])
    wanted = np.sqrt(np.mean((images.astype(np.float64) - BACKGROUND) ** 2))
    assert np.load(run / "generator_image_acgan" / "scale.npy").tolist() == pytest.approx([wanted])


def test_generated_slices_are_from_the_background_on(run):
    gan, _ = gan_of(run)
    gan.ema_generator.weights[-1].assign([1.0])  # before its ReLU: two epochs may leave nothing above 0
    made = gan.generate(gan.noise(6, [0, 0]), tf.constant([0, 1] * 3)).numpy()
    assert made.shape == (6, SIZE, SIZE, 1)
    assert BACKGROUND <= made.min() < made.max()


def test_features_are_the_u_nets_of_accepted_slices(run):
    gan, _ = gan_of(run)
    folder = run / registry.folder("generate_synthetic", KIND)
    record = json_files.read_json(folder / rundir.RECORD)
    assert folder.name == "synthetic_image_acgan"
    assert record["inputs"].keys() == {"generator_image_acgan", "features"}
    assert set(record["figures"]["acceptance"]) == {"LGG", "HGG"}
    store = Store(folder, "synthetic")
    assert store.tensors["feature"] == ((8, 8, 4 * WIDTH), "float16")
    label = int(store.labels[0])
    images = [gan.generate(gan.noise(5, [1, 2 * step + label]), tf.fill([5], label)) for step in range(3)]  # of seed 0
    images = tf.concat(images, 0)
    images = tf.boolean_mask(images, gan.accepted(images, tf.fill([15], label)))
    slices = json_files.read_json(run / "slices" / rundir.RECORD)
    unet = unet_export.restore_unet(run / "unet", config={"unet_width": WIDTH}, slices=slices, precision="float32")
    wanted = tap_model(unet, "conv3")(images).numpy()
    found = np.stack([entry["feature"] for entry in store.dataset().as_numpy_iterator() if entry["label"] == label])
    count = min(len(found), len(wanted))
    assert count
    np.testing.assert_allclose(found[:count], wanted[:count], rtol=2e-3, atol=1e-3)  # float16


def test_the_exported_generator_gives_features(run, tmp_path):
    gan, _ = gan_of(run)
    encoded = EncodedGAN(gan, encoders.encoder_of_run(run, "float32"))
    module, signatures = gan_export.generator(encoded, CLASSES)
    tf.saved_model.save(module, str(tmp_path / "generator"), signatures)
    generated = tf.saved_model.load(str(tmp_path / "generator")).signatures["generate"]
    noise, labels = gan.noise(3, [5, 6]), tf.constant([0, 1, 1])
    found = generated(noise=noise, label=labels)
    wanted, accepted = encoded.draw(noise, labels)
    assert found["feature"].shape == (3, 8, 8, 4 * WIDTH)
    np.testing.assert_allclose(found["feature"], wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found["accepted"], accepted)
