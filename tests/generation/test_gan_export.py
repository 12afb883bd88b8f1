import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.generation import gan_export
from rembrandt_featgen.generation.gan import build_gan
from rembrandt_featgen.generation.gan_spec import GanSpec
from rembrandt_featgen.nn import weights

CLASSES = Classes.of(("LGG", "HGG"))
SHAPE = (2, 2, 3)


def tiny(kind):
    """An untrained GAN, noise of three and two codes."""
    tf.keras.utils.set_random_seed(1)
    spec = GanSpec(kind, SHAPE, 2, filters_generator=4, filters_discriminator=4, latent=3, codes=2)
    return build_gan(spec, np.array([2.0, 0.0, 0.5]))


@pytest.fixture(scope="module")
def acgan():
    """Its discriminator accepts some of its features, not others."""
    return tiny("acgan")


@pytest.fixture(scope="module")
def loaded(tmp_path_factory, acgan):
    """What `tf.saved_model.load` gives of the generator as the export stage saves it."""
    path = str(tmp_path_factory.mktemp("export") / "generator")
    module, signatures = gan_export.generator(acgan, CLASSES)
    tf.saved_model.save(module, path, signatures)
    return tf.saved_model.load(path)


def test_signatures(loaded):
    assert set(loaded.signatures) == {"generate", "sample", "serving_default"}


def test_default_signature_names_inputs_and_outputs(loaded):
    signature = loaded.signatures["serving_default"]
    inputs = {key: spec.shape.as_list() for key, spec in signature.structured_input_signature[1].items()}
    assert inputs == {"noise": [None, 3], "label": [None]}
    outputs = {key: spec.dtype.name for key, spec in signature.structured_outputs.items()}
    assert outputs == {"feature": "float32", "accepted": "bool", "classes": "string"}


def test_generator_equals_live_networks(loaded, acgan):
    noise, labels = tf.random.stateless_normal((64, 3), [1, 2]), tf.constant([0, 1] * 32)
    found = loaded.signatures["generate"](noise=noise, label=labels)
    feature = acgan.generate(noise, labels)
    assert float(tf.reduce_max(feature)) > 0
    np.testing.assert_allclose(found["feature"], feature, rtol=1e-5, atol=1e-7)
    seen = np.argmax(acgan(feature)["label"], -1)
    np.testing.assert_array_equal(found["accepted"], seen == labels)
    assert len(np.unique(found["accepted"])) == 2
    assert found["classes"].numpy().tolist() == [b"LGG", b"HGG"]


@pytest.mark.parametrize("label", [0, 1])
def test_samples_are_draws_by_seed(loaded, acgan, label):
    sample = loaded.signatures["sample"]

    def draw(seed):
        seed = tf.constant(seed, tf.int64)
        return sample(count=tf.constant(5), label=tf.constant(label), seed=seed)["feature"].numpy()

    wanted = acgan.generate(tf.random.stateless_normal((5, 3), [3, 4]), tf.fill([5], label))
    np.testing.assert_allclose(draw([3, 4]), wanted, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(draw([3, 4]), draw([3, 4]))
    assert np.any(draw([3, 4]) != draw([3, 5]))


@pytest.mark.parametrize(("kind", "latent", "outputs"), [("infogan", 5, {"accepted"}), ("cgan", 3, set())])
def test_other_generators_have_the_same_signatures(tmp_path, kind, latent, outputs):
    gan = tiny(kind)
    module, signatures = gan_export.generator(gan, CLASSES)
    tf.saved_model.save(module, str(tmp_path / kind), signatures)
    signatures = tf.saved_model.load(str(tmp_path / kind)).signatures
    seed, labels = tf.constant([3, 4], tf.int64), tf.fill([5], 1)
    found = signatures["sample"](count=tf.constant(5), label=tf.constant(1), seed=seed)
    assert set(found) == {"feature", "classes"} | outputs
    noise = gan.noise(5, [3, 4])
    assert noise.shape == (5, latent)
    np.testing.assert_allclose(found["feature"], gan.generate(noise, labels), rtol=1e-5, atol=1e-7)
    again = signatures["generate"](noise=noise, label=labels)
    np.testing.assert_allclose(again["feature"], found["feature"], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("lowest", [0.0, np.array([0.5, -1.0, 2.0], np.float32)])
def test_a_saved_generator_is_restored(tmp_path, acgan, lowest):
    gan = build_gan(acgan.spec, np.array([2.0, 0.0, 0.5]), lowest)
    gan_export.save_settings(tmp_path, gan.spec, scale=np.array([2.0, 0.0, 0.5]), lowest=lowest)
    weights.save(gan.get_weights(), tmp_path / gan_export.WEIGHTS)
    restored = gan_export.restore_gan(tmp_path)
    assert restored.spec == gan.spec
    assert gan_export.restore_gan(tmp_path, "bfloat16").spec.precision == "bfloat16"
    noise, labels = gan.noise(4, [1, 2]), tf.constant([0, 1, 0, 1])
    np.testing.assert_array_equal(restored.generate(noise, labels), gan.generate(noise, labels))


@pytest.mark.parametrize("text", [None, "{"])
def test_damaged_settings_are_named(tmp_path, text):
    if text:
        (tmp_path / gan_export.SETTINGS).write_text(text)
    with pytest.raises(InputError, match=f"{gan_export.SETTINGS} is missing or damaged"):
        gan_export.restore_gan(tmp_path)


@pytest.mark.parametrize("text", ['{"kind": "acgan"}', '{"shape": [1, 1, 1], "kind": "wgan"}'])
def test_settings_of_another_version_are_refused(tmp_path, text):
    (tmp_path / gan_export.SETTINGS).write_text(text)
    with pytest.raises(InputError, match="was made by another version of this program; delete it to redo it"):
        gan_export.restore_gan(tmp_path)
