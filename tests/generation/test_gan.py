import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats

from rembrandt_featgen.generation.gan import build_gan
from rembrandt_featgen.generation.gan_spec import GanSpec
from rembrandt_featgen.nn import mixed_precision

SHAPE = (5, 6, 3)
SCALE = np.array([1.0, 4.0, 0.5], np.float32)
KINDS = ("acgan", "infogan", "cgan", "adcgan")
SOURCES, CLASSES = {"real_source", "fake_source"}, {"real_class_accuracy", "fake_class_accuracy"}
# what a kind has of its own: heads, what is watched, and what it watches on validation features
HEADS = {
    "acgan": {"source", "label"},
    "infogan": {"source", "label", "code_mean", "code_deviation"},
    "cgan": {"source"},
    "adcgan": {"source", "label", "generated_label"},
}
LOGS = {"acgan": SOURCES | CLASSES, "infogan": SOURCES | CLASSES | {"information"}, "cgan": SOURCES}
LOGS["adcgan"] = LOGS["acgan"]
# G has 11 (dense, two deconvolutions, three batch norms, convolution), D's three convolutions 6, and then its heads
TRAINABLE = {"acgan": 11 + 6 + 4, "infogan": 11 + 6 + 8, "cgan": 11 + 6 + 3, "adcgan": 11 + 6 + 6}


def tiny(
    kind="acgan", optimizer=mixed_precision.adam, learning_rate=1e-2, scale=SCALE, lowest=0.0, num_classes=2, **settings
):
    """A compiled GAN of SHAPE with four filters, noise of three and two codes."""
    settings = {"filters_generator": 4, "filters_discriminator": 4, "latent": 3, "codes": 2, **settings}
    gan = build_gan(GanSpec(kind, SHAPE, num_classes, **settings), scale, lowest)
    gan.compile(optimizer(learning_rate), optimizer(learning_rate))
    return gan


def batch(count=8):
    """Features like those of a ReLU, and balanced int64 labels, as numpy makes them."""
    rng = np.random.default_rng(1)
    return np.maximum(rng.normal(size=(count, *SHAPE)), 0).astype(np.float32) * SCALE, np.arange(count) % 2


@pytest.fixture(scope="module")
def fitted():
    """(weights before, float16 ACGAN after one step of fit, its logs)."""
    tf.keras.utils.set_random_seed(3)
    acgan = tiny(precision="float16")
    before = acgan.get_weights()
    history = acgan.fit(*batch(), batch_size=8, verbose=0).history
    return before, acgan, history


@pytest.fixture(scope="module", params=[(kind, half) for kind in KINDS for half in ("float32", "bfloat16", "float16")])
def stepped(request):
    """(kind, precision, weights before, GAN after one step, its logs)."""
    kind, precision = request.param
    tf.keras.utils.set_random_seed(3)
    gan = tiny(kind, precision=precision)
    before = gan.get_weights()
    features, labels = batch()
    logs = gan.train_step((tf.constant(features), tf.constant(labels)))
    return kind, precision, before, gan, {name: float(value) for name, value in logs.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_differ_in_their_heads(kind):
    gan = tiny(kind)
    features, _ = batch()
    assert set(gan(features)) == HEADS[kind]
    assert gan.has_auxiliary_classifier == (kind != "cgan")
    assert (gan.codes, gan.latent) == ((2, 5) if kind == "infogan" else (0, 3))


def test_step_moves_every_trainable_weight(stepped):
    kind, _, before, gan, _ = stepped
    trainable = gan.generator.trainable_weights + gan.discriminator.trainable_weights
    ids = {id(weight) for weight in trainable}
    changed = [(weight, np.any(old != weight)) for old, weight in zip(before, gan.weights) if id(weight) in ids]
    assert len(changed) == len(trainable) == TRAINABLE[kind]
    assert not [weight.name for weight, moved in changed if not moved]


def test_step_moves_batch_norm_statistics(stepped):
    _, _, before, gan, _ = stepped
    moving = [(old, weight) for old, weight in zip(before, gan.weights) if "moving" in weight.name]
    assert len(moving) == 12  # of G and of its moving average
    for old, weight in moving:
        assert np.all(old != weight.numpy()), weight.name


def test_variables_keep_float32_digits(stepped):
    # spectral normalization writes kernels back: in half precision it would round them at each step
    _, precision, _, gan, _ = stepped
    for weight in gan.discriminator.trainable_weights:
        rounded = tf.cast(tf.cast(weight, precision), tf.float32)
        assert np.array_equal(rounded, weight) == (precision == "float32"), weight.name


def test_step_logs_what_is_watched(stepped):
    kind, _, _, _, logs = stepped
    assert set(logs) == {"d_loss", "g_loss"} | LOGS[kind]
    assert np.isfinite(list(logs.values())).all()


@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize("kind", KINDS)
def test_losses_of_a_discriminator_that_knows_nothing(kind, precision):
    """Its heads say nothing, and hardly learn: each term is ln 2, whatever weights and dropout are drawn.

    Of an untrained one's logits d_loss was within 0.09 of that, by twelve seeds, so that no tolerance says much.
    """
    tf.keras.utils.set_random_seed(3)
    gan = tiny(kind, learning_rate=1e-7, precision=precision)
    for name in {*HEADS[kind], "projection"} & {layer.name for layer in gan.discriminator.layers}:
        for weight in gan.discriminator.get_layer(name).trainable_weights:
            weight.assign(tf.zeros_like(weight))
    logs = {name: float(value) for name, value in gan.train_step(tuple(map(tf.constant, batch()))).items()}
    terms = {"acgan": (4, 2), "infogan": (4, 2), "cgan": (2, 1), "adcgan": (6, 1)}[kind]  # ln 4 of four outputs
    information = 0.0
    if kind == "infogan":  # of a code, N(0, ln 2 + 0.05) says this of (-1, 1)
        deviation, information = np.log(2) + 0.05, logs["information"]
        knows = 2 * (np.log(2) - np.log(deviation * np.sqrt(2 * np.pi)) - 1 / 6 / deviation**2)
        # eight samples of two codes u, with u^2 / (2 deviation^2) in each: a standard deviation of 0.13
        assert information == pytest.approx(knows, abs=0.4)
    assert logs["d_loss"] == pytest.approx(terms[0] * np.log(2) - information, abs=1e-3)
    assert logs["g_loss"] == pytest.approx(terms[1] * np.log(2) - information, abs=1e-3)


def test_fit_does_what_a_step_does(fitted):
    before, acgan, history = fitted
    assert set(history) == {"d_loss", "g_loss"} | LOGS["acgan"]
    assert all(np.isfinite(values).all() and len(values) == 1 for values in history.values())
    for old, weight in zip(before, acgan.weights):
        assert np.any(old != weight), weight.name


def test_both_optimizers_are_wrapped_in_float16_alone(stepped):
    _, precision, _, gan, _ = stepped
    for optimizer in (gan.g_optimizer, gan.d_optimizer):
        assert isinstance(optimizer, tf.keras.mixed_precision.LossScaleOptimizer) == (precision == "float16")
        assert int(optimizer.iterations) == 1


def test_generate_and_test_step_change_nothing(fitted):
    _, acgan, _ = fitted
    before = acgan.get_weights()
    iterations = int(acgan.d_optimizer.iterations)
    features = acgan.generate(tf.random.normal((16, 3)), tf.constant([0, 1] * 8))
    logs = acgan.evaluate(*batch(), batch_size=8, verbose=0, return_dict=True)
    assert np.isfinite(features).all()
    assert set(logs) == {"real_source", "real_class_accuracy"}
    for old, weight in zip(before, acgan.weights):
        np.testing.assert_array_equal(old, weight, weight.name)
    assert int(acgan.d_optimizer.iterations) == iterations


def test_both_losses_are_scaled_in_float16():
    """Gradients of a loss that was not scaled would be 2^15 times too small, once unscaled."""
    changes = {}
    for precision in ("float32", "float16"):
        tf.keras.utils.set_random_seed(5)
        acgan = tiny(precision=precision, optimizer=tf.keras.optimizers.SGD, learning_rate=1.0)
        for layer in acgan.discriminator.layers:
            if isinstance(layer, tf.keras.layers.Dropout):
                layer.rate = 0.0  # its draws differ between types
        before = acgan.get_weights()
        features, labels = batch()
        acgan.train_step((tf.constant(features), tf.constant(labels, tf.int32)))
        kernels = {weight.name: new - old for weight, new, old in zip(acgan.weights, acgan.get_weights(), before)}
        changes[precision] = [
            kernels[next(name for name in kernels if name.startswith(layer) and "kernel" in name)]
            for layer in ("dense", "source", "label")  # G's first layer and D's heads
        ]
    for full, half in zip(changes["float32"], changes["float16"]):
        # a third: where rounding turns the sign of what enters a ReLU, single gradients differ
        assert 0 < np.linalg.norm(half - full) < np.linalg.norm(full) / 3


@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_weights_are_those_of_the_networks(ema_decay):
    acgan = tiny(ema_decay=ema_decay)
    of_generator = len(acgan.generator.weights) * (2 if ema_decay else 1)
    assert len(acgan.weights) == of_generator + len(acgan.discriminator.weights)
    acgan.set_weights([np.full(weight.shape, 0.25) for weight in acgan.weights])
    assert {float(tf.reduce_mean(weight)) for weight in acgan.weights} == {0.25}


def test_scale_stands_between_features_and_networks():
    tf.keras.utils.set_random_seed(0)
    acgan = tiny()
    noise, labels = tf.random.normal((4, 3)), tf.constant([0, 1, 0, 1])
    scaled = acgan.generator([noise, labels])
    np.testing.assert_allclose(acgan.generate(noise, labels), scaled * SCALE, rtol=1e-6)
    wanted = acgan.discriminator(scaled)
    for name, found in acgan(scaled * SCALE).items():
        np.testing.assert_allclose(found, wanted[name], rtol=1e-5)


def test_the_lowest_value_is_taken_off_and_put_back():
    """A background of slices is 0 for both networks."""
    lowest = np.array([-0.5, 0.25, -3.0], np.float32)
    tf.keras.utils.set_random_seed(0)
    plain, offset = tiny(), tiny(lowest=lowest)
    plain.set_weights([10.0 * weight for weight in plain.get_weights()])  # so that features make a difference
    offset.set_weights(plain.get_weights())
    features, labels = batch()
    noise = plain.noise(8, [1, 2])
    np.testing.assert_allclose(offset(features + lowest)["label"], plain(features)["label"], rtol=1e-3, atol=1e-4)
    made = plain.generate(noise, labels)
    np.testing.assert_allclose(offset.generate(noise, labels), made + lowest, atol=1e-5)
    found, accepted = offset.draw(noise, tf.constant(labels))
    np.testing.assert_allclose(found, made + lowest, atol=1e-5)
    logits = plain(made)["label"].numpy()
    clear = np.abs(logits[:, 0] - logits[:, 1]) > 1e-3  # rounding decides the others
    assert clear.sum() > 4
    np.testing.assert_array_equal(accepted.numpy()[clear], plain.accepted(made, tf.constant(labels)).numpy()[clear])


def test_channel_of_zero_scale_generates_zeros_and_is_not_seen():
    tf.keras.utils.set_random_seed(0)
    acgan = tiny(scale=np.array([1.0, 0.0, 0.5], np.float32))
    noise, labels = tf.random.normal((16, 3)), tf.constant([0, 1] * 8)
    assert tf.reduce_any(acgan.generator([noise, labels])[..., 1] > 0)
    generated = acgan.generate(noise, labels).numpy()
    assert not generated[..., 1].any()
    assert generated[..., 0].any()
    features, _ = batch()
    loud = features.copy()
    loud[..., 1] = 1e6
    wanted = acgan(features)
    for name, found in acgan(loud).items():
        assert np.isfinite(found).all()
        np.testing.assert_array_equal(found, wanted[name])


def test_moving_average_follows_the_generator():
    """mean += (1 - decay) (weight - mean), the decay of step t being min(0.5, (1 + t) / (10 + t))."""
    acgan = tiny(ema_decay=0.5)
    data = tuple(map(tf.constant, batch()))
    wanted = [weight.numpy() for weight in acgan.generator.trainable_weights]
    for step in range(1, 12):
        acgan.train_step(data)
        decay = min(0.5, (1 + step) / (10 + step))
        wanted = [decay * mean + (1 - decay) * w.numpy() for mean, w in zip(wanted, acgan.generator.trainable_weights)]
    for mean, found in zip(wanted, acgan.ema_generator.trainable_weights):
        np.testing.assert_allclose(found, mean, rtol=1e-4, atol=1e-6, err_msg=found.name)


def test_averaged_generator_has_its_batch_norm_statistics():
    acgan = tiny(ema_decay=0.999, learning_rate=1e-4)
    data = tuple(map(tf.constant, batch()))
    for _ in range(120):
        acgan.train_step(data)
    noise, labels = acgan.noise(512, [1, 2]), tf.constant([0, 1] * 256)
    norm = next(layer for layer in acgan.ema_generator.layers if isinstance(layer, tf.keras.layers.BatchNormalization))
    entering = tf.keras.Model(acgan.ema_generator.input, norm.input)([noise, labels]).numpy()
    # estimated from the last batches of 8 alone, hence the tolerance
    np.testing.assert_allclose(norm.moving_mean, entering.mean((0, 1, 2)), atol=0.3 * entering.std())
    np.testing.assert_allclose(norm.moving_variance, entering.var((0, 1, 2)), rtol=0.5)


def test_features_are_drawn_from_the_average():
    acgan = tiny()
    noise, labels = acgan.noise(8, [1, 2]), tf.constant([0, 1] * 4)
    before = acgan.generate(noise, labels)
    for weight in acgan.generator.weights:
        weight.assign(tf.zeros_like(weight))
    np.testing.assert_array_equal(acgan.generate(noise, labels), before)
    acgan = tiny(ema_decay=0.0)
    for weight in acgan.generator.weights:
        weight.assign(tf.zeros_like(weight))
    assert not tf.reduce_any(acgan.generate(noise, labels) > 0)


def test_discriminator_sees_features_mirrored():
    acgan = tiny()
    features = tf.constant(batch(64)[0])
    found = acgan._flipped(features, 0).numpy()
    mirrored = np.all(found == features[:, :, ::-1], (1, 2, 3))
    kept = np.all(found == features, (1, 2, 3))
    assert np.all(mirrored ^ kept)
    assert 16 < mirrored.sum() < 48
    assert np.any(acgan._flipped(features, 1) != found)  # other coins for generated ones
    np.testing.assert_array_equal(acgan._flipped(features, 0), found)  # a resumed run repeats
    acgan.d_optimizer.iterations.assign(1)
    assert np.any(acgan._flipped(features, 0) != found)
    assert tiny(flip=False)._flipped(features, 0) is features


@pytest.mark.parametrize(("count", "zeros"), [(16, 8), (7, 4), (2, 1), (1, 1)])
def test_drawn_labels_are_balanced(count, zeros):
    noise, labels = tiny()._noise_and_labels(tf.constant(count))
    assert noise.shape == (count, 3)
    assert labels.dtype == tf.int32
    assert np.bincount(labels, minlength=2).tolist() == [zeros, count - zeros]


@pytest.mark.parametrize("kind", ["acgan", "infogan"])
def test_draws_are_a_function_of_seed_and_step(kind):
    def draw(gan, step):
        gan.d_optimizer.iterations.assign(step)
        return [part.numpy().tolist() for part in gan._noise_and_labels(tf.constant(64))]

    first, again, other = tiny(kind, seed=7), tiny(kind, seed=7), tiny(kind, seed=8)
    wanted = draw(first, 5)
    assert draw(first, 5) == draw(again, 5) == wanted
    for elsewhere in (draw(first, 6), draw(other, 5)):
        assert elsewhere[0] != wanted[0]
        assert elsewhere[1] != wanted[1]


def test_noise_is_normal_and_codes_are_uniform_and_independent():
    noise = tiny("infogan").noise(3000, [3, 4]).numpy()
    assert noise.shape == (3000, 5)
    normal, codes = noise[:, :3].ravel(), noise[:, 3:].ravel()
    assert stats.kstest(normal, "norm").pvalue > 0.01
    assert stats.kstest(codes, stats.uniform(-1, 2).cdf).pvalue > 0.01
    # drawn from one stream of bits, the k-th code would say much of the k-th normal number
    for start in (0, 1):
        pairs = np.abs(normal[start:6000:2]), codes[start::2], np.abs(codes[start::2])
        assert np.abs(np.corrcoef(pairs)[0, 1:]).max() < 0.07
    np.testing.assert_array_equal(tiny().noise(5, [3, 4]), tf.random.stateless_normal((5, 3), [3, 4]))


@pytest.mark.parametrize("kind", KINDS)
def test_accepted_is_what_the_auxiliary_classifier_predicts(kind):
    tf.keras.utils.set_random_seed(1)
    gan = tiny(kind)
    labels = tf.constant([0, 1] * 32)
    features = gan.generate(gan.noise(64, [0, 1]), labels)
    found = gan.accepted(features, labels).numpy()
    if kind in ("cgan", "adcgan"):
        assert found.all()  # it does not classify, or is the generator's adversary in each class
    else:
        np.testing.assert_array_equal(found, np.argmax(gan(features)["label"], -1) == labels)
        assert 0 < np.sum(found) < 64


def test_test_step_gives_the_discriminators_class_accuracy():
    tf.keras.utils.set_random_seed(0)
    acgan = tiny()
    acgan.discriminator.get_layer("label").bias.assign([0.0, 9.0])  # predicts class 1 everywhere
    features, _ = batch()
    logs = acgan.evaluate(features, np.array([1, 1, 1, 1, 1, 0, 1, 0]), batch_size=3, verbose=0, return_dict=True)
    assert logs["real_class_accuracy"] == pytest.approx(6 / 8)


def test_test_step_judges_each_feature_under_its_own_label():
    tf.keras.utils.set_random_seed(0)
    cgan = tiny("cgan")
    cgan.set_weights([10.0 * weight for weight in cgan.get_weights()])  # so that labels make a difference
    features, _ = batch()
    labels = np.array([1, 1, 0, 1, 0, 0, 1, 1])
    logits = cgan(features)["source"].numpy()
    assert np.abs(logits[:, 0] - logits[:, 1]).min() > 1e-2
    wanted = special.expit(logits[np.arange(8), labels]).mean()
    found = cgan.evaluate(features, labels, batch_size=8, verbose=0, return_dict=True)
    assert found == {"real_source": pytest.approx(wanted, rel=1e-6)}
