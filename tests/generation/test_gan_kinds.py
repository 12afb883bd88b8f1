"""What every kind of GAN has to do: a new one is added to `KINDS`, and must pass."""

import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.generation import gan_export
from rembrandt_featgen.generation.acceptance import Tally, accepted_features
from rembrandt_featgen.generation.gan import build_gan
from rembrandt_featgen.generation.gan_kinds import KINDS
from rembrandt_featgen.generation.gan_spec import GanSpec
from rembrandt_featgen.nn import mixed_precision, weights

SCALE, LOWEST = np.array([2.0, 0.5, 1.0], np.float32), np.array([0.0, -1.0, 0.5], np.float32)


@pytest.fixture(
    scope="module", params=[(kind, 2) for kind in KINDS] + [("acgan", 3), ("cgan", 3), ("adcgan", 3)], ids=str
)
def trained(request):
    """(GAN of a kind after one step, number of classes, logs)."""
    kind, count = request.param
    tf.keras.utils.set_random_seed(2)
    tiny = {"filters_generator": 4, "filters_discriminator": 4, "latent": 3, "codes": 2}
    gan = build_gan(GanSpec(kind, (16, 16, 3), count, **tiny), SCALE, LOWEST)
    gan.compile(mixed_precision.adam(1e-4), mixed_precision.adam(1e-4))
    features = np.random.default_rng(0).uniform(0, 2, (6, 16, 16, 3)).astype(np.float32)
    logs = gan.train_step((tf.constant(features), tf.constant(np.arange(6) % count)))
    return gan, count, {name: float(value) for name, value in logs.items()}


def test_traits_are_those_of_the_table(trained):
    gan, _, logs = trained
    traits = gan.spec.traits
    assert gan.has_auxiliary_classifier == traits.has_auxiliary_classifier == ("fake_class_accuracy" in logs)
    assert (gan.codes > 0) == traits.has_codes == ("information" in logs)
    assert gan.latent == 3 + gan.codes
    assert all(np.isfinite(value) for value in logs.values())


def test_draws_are_functions_of_noise_and_class(trained):
    gan, count, _ = trained
    noise, labels = gan.noise(2 * count, [1, 2]), tf.range(2 * count) % count
    features, accepted = gan.draw(noise, labels)
    assert features.shape == (2 * count, 16, 16, 3)
    assert accepted.dtype == tf.bool
    assert accepted.shape == (2 * count,)
    assert np.all(features.numpy() >= LOWEST - 1e-6)  # networks end in a ReLU
    np.testing.assert_array_equal(gan.draw(gan.noise(2 * count, [1, 2]), labels)[0], features)
    assert np.any(gan.generate(noise, (labels + 1) % count) != features)
    assert np.any(gan.generate(gan.noise(2 * count, [1, 3]), labels) != features)
    assert gan.can_refuse == (gan.spec.kind not in ("cgan", "adcgan"))
    if not gan.can_refuse:
        assert np.all(accepted)


def test_accepted_features_are_of_each_class(trained):
    gan, count, _ = trained
    judges = [lambda features, label=label: np.eye(count)[[label] * len(features)] for label in range(count)]
    for wanted, judge in enumerate(judges):
        tallies = [Tally() for _ in range(count)]
        drawn = accepted_features(gan, judge, tallies, wanted=3, tries=1, batch=2, seed=0)
        assert [label for _, label, _ in drawn] == [wanted] * 3
        assert [tally.generated for tally in tallies] == [3] * count


def test_it_is_saved_restored_and_exported(trained, tmp_path):
    gan, count, _ = trained
    gan_export.save_settings(tmp_path, gan.spec, scale=SCALE, lowest=LOWEST)
    weights.save(gan.get_weights(), tmp_path / gan_export.WEIGHTS)
    restored = gan_export.restore_gan(tmp_path)
    noise, labels = gan.noise(4, [5, 6]), tf.range(4) % count
    wanted, accepted = gan.draw(noise, labels)
    for found, same in zip(restored.draw(noise, labels), (wanted, accepted)):
        np.testing.assert_array_equal(found, same)
    module, signatures = gan_export.generator(gan, Classes.of([f"class_{label}" for label in range(count)]))
    tf.saved_model.save(module, str(tmp_path / "exported"), signatures)
    exported = tf.saved_model.load(str(tmp_path / "exported")).signatures["generate"](noise=noise, label=labels)
    np.testing.assert_allclose(exported["feature"], wanted, rtol=1e-5, atol=1e-6)
    assert ("accepted" in exported) == gan.can_refuse
    assert len(exported["classes"]) == count
