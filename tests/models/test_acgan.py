import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from rembrandt_featgen.models import acgan as gans

SHAPE = (5, 6, 3)
SCALE = np.array([1.0, 4.0, 0.5], np.float32)


def tiny(precision="float32", seed=0, optimizer=tf.keras.optimizers.Adam, learning_rate=1e-2, scale=SCALE):
    """A compiled ACGAN of SHAPE with four filters."""
    acgan = gans.build_acgan(SHAPE, scale, 4, 4, 3, precision, seed)
    acgan.compile(optimizer(learning_rate), optimizer(learning_rate), precision)
    return acgan


def batch(count=8):
    """Features like those of a ReLU, and balanced int64 labels, as numpy makes them."""
    rng = np.random.default_rng(1)
    return np.maximum(rng.normal(size=(count, *SHAPE)), 0).astype(np.float32) * SCALE, np.arange(count) % 2


@pytest.fixture(scope="module", params=["float32", "bfloat16", "float16"])
def fitted(request):
    """(precision, weights before, ACGAN after one step of fit, its logs)."""
    tf.keras.utils.set_random_seed(3)
    acgan = tiny(request.param)
    before = acgan.get_weights()
    history = acgan.fit(*batch(), batch_size=8, verbose=0).history
    return request.param, before, acgan, history


@pytest.mark.parametrize("shape", [(4, 8, 2), (5, 6, 3), (15, 15, 2), (1, 3, 1)])
def test_shapes(shape):
    generator, discriminator = gans.build_generator(shape, 4, 3), gans.build_discriminator(shape, 4)
    features = generator([tf.random.normal((6, 3)), tf.constant([0, 1] * 3)])
    assert features.shape == (6, *shape)
    source, grade = discriminator(features)
    assert (source.shape, grade.shape) == ((6, 1), (6, 2))


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_outputs_are_float32_and_features_non_negative(precision):
    tf.keras.utils.set_random_seed(0)
    generator = gans.build_generator(SHAPE, 4, 3, precision)
    features = generator([tf.random.normal((16, 3)), tf.constant([0, 1] * 8)])
    outputs = [features, *gans.build_discriminator(SHAPE, 4, precision)(features)]
    assert {output.dtype for output in outputs} == {tf.float32}
    assert float(tf.reduce_min(features)) == 0.0 < float(tf.reduce_max(features))  # exact zeros, as after ReLU


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_hidden_layers_compute_in_precision(precision):
    for network in (gans.build_generator(SHAPE, 4, 3, precision), gans.build_discriminator(SHAPE, 4, precision)):
        inputs = [tf.TensorSpec([2, *tensor.shape[1:]], tensor.dtype) for tensor in network.inputs]
        call = tf.function(network).get_concrete_function(inputs)
        found = [op.outputs[0].dtype for op in call.graph.get_operations() if op.type.startswith("Conv2D")]
        assert found == [precision] * 3
        assert {weight.dtype for weight in network.weights} == {tf.float32}


def test_three_hidden_layers_each():
    # dense (3 + 2) 4 4 4, two deconvolutions 4 4 4 4, three batch norms 4 4, convolution 3 3 4 8 + 8
    assert gans.build_generator((15, 15, 8), 4, 3).count_params() == 320 + 2 * 256 + 3 * 16 + 296
    # three convolutions of stride 2 (15 -> 8 -> 4 -> 2) with a singular vector each, heads from 2 2 4
    assert gans.build_discriminator((15, 15, 8), 4).count_params() == 292 + 2 * 148 + 3 * 4 + 17 + 34


def test_kernels_start_with_deviation_0_02():
    tf.keras.utils.set_random_seed(0)
    networks = gans.build_generator(SHAPE, 64), gans.build_discriminator(SHAPE, 64)
    kernels = [w for network in networks for w in network.trainable_weights if w.shape.rank == 4]
    assert len(kernels) == 6
    for kernel in kernels:
        assert np.std(kernel) == pytest.approx(0.02, rel=0.05), kernel.name


def test_step_moves_every_trainable_weight(fitted):
    _, before, acgan, _ = fitted
    trainable = acgan.generator.trainable_weights + acgan.discriminator.trainable_weights
    assert len(trainable) == 11 + 10
    ids = {id(weight) for weight in trainable}
    changed = [(weight, np.any(old != weight)) for old, weight in zip(before, acgan.weights) if id(weight) in ids]
    assert len(changed) == 11 + 10
    assert not [weight.name for weight, moved in changed if not moved]


def test_step_moves_batch_norm_statistics(fitted):
    _, before, acgan, _ = fitted
    moving = [(old, weight) for old, weight in zip(before, acgan.weights) if "moving" in weight.name]
    assert len(moving) == 6
    for old, weight in moving:
        assert np.all(old != weight.numpy()), weight.name


def test_variables_keep_float32_digits(fitted):
    # spectral normalization writes kernels back: in half precision it would round them at each step
    precision, _, acgan, _ = fitted
    for weight in acgan.discriminator.trainable_weights:
        rounded = tf.cast(tf.cast(weight, precision), tf.float32)
        assert np.array_equal(rounded, weight) == (precision == "float32"), weight.name


def test_step_logs_what_is_watched(fitted):
    _, _, _, history = fitted
    names = {"d_loss", "g_loss", "real_class_accuracy", "fake_class_accuracy", "real_source", "fake_source"}
    assert set(history) == names
    assert all(np.isfinite(values).all() and len(values) == 1 for values in history.values())
    # an untrained discriminator knows nothing: d_loss is four times ln 2, g_loss twice
    assert history["d_loss"][0] == pytest.approx(4 * np.log(2), rel=0.05)
    assert history["g_loss"][0] == pytest.approx(2 * np.log(2), rel=0.05)


def test_both_optimizers_are_wrapped_in_float16_alone(fitted):
    precision, _, acgan, _ = fitted
    for optimizer in (acgan.g_optimizer, acgan.d_optimizer):
        assert isinstance(optimizer, tf.keras.mixed_precision.LossScaleOptimizer) == (precision == "float16")
        assert int(optimizer.iterations) == 1


def test_generate_and_test_step_change_nothing(fitted):
    _, _, acgan, _ = fitted
    before = acgan.get_weights()
    iterations = int(acgan.d_optimizer.iterations)
    features = acgan.generate(tf.random.normal((16, 3)), tf.constant([0, 1] * 8))
    logs = acgan.evaluate(*batch(), batch_size=8, verbose=0, return_dict=True)
    assert np.isfinite(features).all()
    assert set(logs) == {"real_class_accuracy"}
    for old, weight in zip(before, acgan.weights):
        np.testing.assert_array_equal(old, weight, weight.name)
    assert int(acgan.d_optimizer.iterations) == iterations


def test_both_losses_are_scaled_in_float16():
    """Gradients of a loss that was not scaled would be 2^15 times too small, once unscaled."""
    changes = {}
    for precision in ("float32", "float16"):
        tf.keras.utils.set_random_seed(5)
        acgan = tiny(precision, optimizer=tf.keras.optimizers.SGD, learning_rate=1.0)
        for layer in acgan.discriminator.layers:
            if isinstance(layer, tf.keras.layers.Dropout):
                layer.rate = 0.0  # its draws differ between types
        before = acgan.get_weights()
        features, labels = batch()
        acgan.train_step((tf.constant(features), tf.constant(labels, tf.int32)))
        kernels = {weight.name: new - old for weight, new, old in zip(acgan.weights, acgan.get_weights(), before)}
        changes[precision] = [
            kernels[next(name for name in kernels if name.startswith(layer) and "kernel" in name)]
            for layer in ("dense", "source", "grade")  # G's first layer and D's heads
        ]
    for full, half in zip(changes["float32"], changes["float16"]):
        # a third: where rounding turns the sign of what enters a ReLU, single gradients differ
        assert 0 < np.linalg.norm(half - full) < np.linalg.norm(full) / 3


def test_weights_are_those_of_both_networks():
    acgan = tiny()
    assert len(acgan.weights) == len(acgan.generator.weights) + len(acgan.discriminator.weights)
    acgan.set_weights([np.full(weight.shape, 0.25) for weight in acgan.weights])
    assert {float(tf.reduce_mean(weight)) for weight in acgan.weights} == {0.25}


def test_scale_stands_between_features_and_networks():
    tf.keras.utils.set_random_seed(0)
    acgan = tiny()
    noise, labels = tf.random.normal((4, 3)), tf.constant([0, 1, 0, 1])
    scaled = acgan.generator([noise, labels])
    np.testing.assert_allclose(acgan.generate(noise, labels), scaled * SCALE, rtol=1e-6)
    for found, wanted in zip(acgan(scaled * SCALE), acgan.discriminator(scaled)):
        np.testing.assert_allclose(found, wanted, rtol=1e-5)


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
    for found, wanted in zip(acgan(loud), acgan(features)):
        assert np.isfinite(wanted).all()
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(("count", "zeros"), [(16, 8), (7, 4), (2, 1), (1, 1)])
def test_drawn_labels_are_balanced(count, zeros):
    noise, labels = tiny()._draw(tf.constant(count))
    assert noise.shape == (count, 3)
    assert labels.dtype == tf.int32
    assert np.bincount(labels, minlength=2).tolist() == [zeros, count - zeros]


def test_draws_are_a_function_of_seed_and_step():
    def draw(acgan, step):
        acgan.d_optimizer.iterations.assign(step)
        return [part.numpy().tolist() for part in acgan._draw(tf.constant(64))]

    first, again, other = tiny(seed=7), tiny(seed=7), tiny(seed=8)
    wanted = draw(first, 5)
    assert draw(first, 5) == draw(again, 5) == wanted
    for elsewhere in (draw(first, 6), draw(other, 5)):
        assert elsewhere[0] != wanted[0]
        assert elsewhere[1] != wanted[1]


def test_test_step_gives_the_discriminators_class_accuracy():
    tf.keras.utils.set_random_seed(0)
    acgan = tiny()
    acgan.discriminator.get_layer("grade").bias.assign([0.0, 9.0])  # sees grade 1 everywhere
    features, _ = batch()
    logs = acgan.evaluate(features, np.array([1, 1, 1, 1, 1, 0, 1, 0]), batch_size=3, verbose=0, return_dict=True)
    assert logs["real_class_accuracy"] == pytest.approx(6 / 8)


def linear_acgan(scale, learning_rate):
    """An ACGAN of two linear networks on features of two numbers, whose step can be written out by hand."""
    layers, constant = tf.keras.layers, tf.keras.initializers.Constant
    feature = tf.keras.Input((1, 1, 2))
    flat = layers.Flatten()(feature)
    heads = [
        layers.Dense(1, kernel_initializer=constant([0.5, -0.3]), bias_initializer=constant([0.1]))(flat),
        layers.Dense(2, kernel_initializer=constant([[0.2, -0.4], [0.7, 0.3]]), bias_initializer=constant([0.0, 0.2]))(
            flat
        ),
    ]
    noise, labels = tf.keras.Input((2,)), tf.keras.Input((), dtype=tf.int32)
    kernel = [[0.6, -0.2], [0.1, 0.8], [0.9, 0.4], [0.3, 1.1]]
    x = layers.Concatenate()([noise, layers.CategoryEncoding(2, "one_hot")(labels)])
    x = layers.Dense(2, "relu", use_bias=False, kernel_initializer=constant(kernel))(x)
    generator = tf.keras.Model([noise, labels], layers.Reshape((1, 1, 2))(x))
    acgan = gans.ACGAN(generator, tf.keras.Model(feature, heads), scale, seed=4)
    acgan.compile(tf.keras.optimizers.SGD(learning_rate), tf.keras.optimizers.SGD(learning_rate))
    return acgan


def test_train_step_is_equations_1_and_2_by_hand():
    scale, rate = np.array([2.0, 0.5]), 0.3
    acgan = linear_acgan(scale, rate)
    features = np.array([[1.0, 0.2], [3.0, 0.0], [0.5, 0.9], [2.0, 0.4]])
    labels = np.array([0, 1, 1, 0])
    noise, fake_labels = (part.numpy().astype(np.float64) for part in acgan._draw(tf.constant(4)))
    fake_labels = fake_labels.astype(int)
    source_kernel, source_bias, class_kernel, class_bias = map(np.float64, acgan.discriminator.get_weights())
    generator_kernel = np.float64(acgan.generator.get_weights()[0])
    onehot = np.eye(2)
    inputs = np.concatenate([noise, onehot[fake_labels]], 1)
    real, fake = features / scale, np.maximum(inputs @ generator_kernel, 0)
    assert 0 < np.sum(fake == 0) < fake.size  # both sides of the ReLU are met

    # D maximises L_S + L_C: equations (1) and (2), and one step of gradient descent on their negative
    real_source, fake_source = real @ source_kernel + source_bias, fake @ source_kernel + source_bias
    real_class, fake_class = real @ class_kernel + class_bias, fake @ class_kernel + class_bias
    rows = np.arange(4)
    L_S = np.log(special.expit(real_source)).mean() + np.log(1 - special.expit(fake_source)).mean()
    L_C = (
        np.log(special.softmax(real_class, 1)[rows, labels]).mean()
        + np.log(special.softmax(fake_class, 1)[rows, fake_labels]).mean()
    )
    real_slope, fake_slope = (special.expit(real_source) - 1) / 4, special.expit(fake_source) / 4
    real_pull = (special.softmax(real_class, 1) - onehot[labels]) / 4
    fake_pull = (special.softmax(fake_class, 1) - onehot[fake_labels]) / 4
    source_kernel = source_kernel - rate * (real.T @ real_slope + fake.T @ fake_slope)
    source_bias = source_bias - rate * (real_slope + fake_slope).sum(0)
    class_kernel = class_kernel - rate * (real.T @ real_pull + fake.T @ fake_pull)
    class_bias = class_bias - rate * (real_pull + fake_pull).sum(0)

    # G, against the new D, maximises L_C + E[log P(real | fake)], the non-saturating form of L_C - L_S
    source, grade = fake @ source_kernel + source_bias, fake @ class_kernel + class_bias
    g_loss = -np.log(special.expit(source)).mean() - np.log(special.softmax(grade, 1)[rows, fake_labels]).mean()
    slope = (special.expit(source) - 1) / 4 @ source_kernel.T
    slope = slope + (special.softmax(grade, 1) - onehot[fake_labels]) / 4 @ class_kernel.T
    generator_kernel = generator_kernel - rate * inputs.T @ (slope * (fake > 0))

    data = tf.constant(features.reshape(4, 1, 1, 2), tf.float32), tf.constant(labels, tf.int32)
    logs = {name: float(value) for name, value in acgan.train_step(data).items()}
    assert logs == pytest.approx(
        {
            "d_loss": -(L_S + L_C),
            "g_loss": g_loss,
            "real_class_accuracy": np.mean(real_class.argmax(1) == labels),
            "fake_class_accuracy": np.mean(fake_class.argmax(1) == fake_labels),
            "real_source": special.expit(real_source).mean(),
            "fake_source": special.expit(fake_source).mean(),
        },
        rel=1e-5,
    )
    wanted = [source_kernel, source_bias, class_kernel, class_bias, generator_kernel]
    found = acgan.discriminator.get_weights() + acgan.generator.get_weights()
    for value, hand in zip(found, wanted):
        np.testing.assert_allclose(value, hand, atol=1e-6)
