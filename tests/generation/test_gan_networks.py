import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.generation import gan_networks
from tests import gpu_layout

SHAPE = (5, 6, 3)
PRECISIONS = ("float32", "bfloat16", "float16")


def discriminator(shape=SHAPE, precision="float32"):
    """One with every head."""
    return gan_networks.build_discriminator(
        shape, 4, num_classes=2, is_projection_conditioned=True, codes=3, precision=precision
    )


@pytest.mark.parametrize("shape", [(4, 8, 2), (5, 6, 3), (15, 15, 2), (1, 3, 1)])
def test_shapes(shape):
    features = gan_networks.build_generator(shape, 4, 3, num_classes=2)(
        [tf.random.normal((6, 3)), tf.constant([0, 1] * 3)]
    )
    assert features.shape == (6, *shape)
    found = {name: head.shape for name, head in discriminator(shape)(features).items()}
    assert found == {"source": (6, 2), "label": (6, 2), "code_mean": (6, 3), "code_deviation": (6, 3)}


@pytest.mark.parametrize(
    ("settings", "heads"),
    [
        ({}, {"source": (None, 1), "label": (None, 2)}),
        ({"codes": 2}, {"source": (None, 1), "label": (None, 2), "code_mean": (None, 2), "code_deviation": (None, 2)}),
        ({"has_auxiliary_classifier": False, "is_projection_conditioned": True}, {"source": (None, 2)}),
        ({"has_auxiliary_classifier": False}, {"source": (None, 1)}),
    ],
)
def test_heads_are_those_asked_for(settings, heads):
    assert gan_networks.build_discriminator(SHAPE, 4, num_classes=2, **settings).output_shape == heads


@pytest.mark.parametrize("precision", PRECISIONS)
def test_outputs_are_float32_and_features_non_negative(precision):
    tf.keras.utils.set_random_seed(0)
    generator = gan_networks.build_generator(SHAPE, 4, 3, num_classes=2, precision=precision)
    features = generator([tf.random.normal((16, 3)), tf.constant([0, 1] * 8)])
    outputs = [features, *discriminator(precision=precision)(features).values()]
    assert {output.dtype for output in outputs} == {tf.float32}
    assert float(tf.reduce_min(features)) == 0.0 < float(tf.reduce_max(features))  # exact zeros, as after ReLU


@pytest.mark.parametrize("precision", PRECISIONS[1:])
def test_hidden_layers_compute_in_precision(precision):
    for network in (
        gan_networks.build_generator(SHAPE, 4, 3, num_classes=2, precision=precision),
        discriminator(precision=precision),
    ):
        inputs = [tf.TensorSpec([2, *tensor.shape[1:]], tensor.dtype) for tensor in network.inputs]
        call = tf.function(network).get_concrete_function(inputs)
        found = [op.outputs[0].dtype for op in call.graph.get_operations() if op.type.startswith("Conv2D")]
        assert found == [precision] * 3
        assert {weight.dtype for weight in network.weights} == {tf.float32}


def test_three_hidden_layers_each():
    # dense (3 + 2) 4 4 4, two deconvolutions 4 4 4 4, three batch norms 4 4, convolution 3 3 4 8 + 8
    assert gan_networks.build_generator((15, 15, 8), 4, 3, num_classes=2).count_params() == 320 + 2 * 256 + 3 * 16 + 296
    # three convolutions of stride 2 (15 -> 8 -> 4 -> 2) with a singular vector each, heads from 2 2 4
    trunk, source = 292 + 2 * 148 + 3 * 4, 17
    assert gan_networks.build_discriminator((15, 15, 8), 4, num_classes=2).count_params() == trunk + source + 34
    assert (
        gan_networks.build_discriminator((15, 15, 8), 4, num_classes=2, codes=3).count_params()
        == trunk + source + 34 + 2 * 51
    )
    conditional = gan_networks.build_discriminator(
        (15, 15, 8), 4, num_classes=2, has_auxiliary_classifier=False, is_projection_conditioned=True
    )
    assert conditional.count_params() == trunk + source + 32  # two vectors


@pytest.mark.parametrize("of_images", [False, True])
def test_networks_of_the_reference_implementation(of_images):
    """G ends in tanh; D is convolutions and leaky ReLU alone, and so the same in training."""
    tf.keras.utils.set_random_seed(0)
    generator, network = (
        build(SHAPE, 4, num_classes=2, of_images=of_images, networks="reference")
        for build in (gan_networks.build_generator, gan_networks.build_discriminator)
    )
    features = generator([1000 * tf.random.normal((16, 100)), tf.constant([0, 1] * 8)], training=True).numpy()
    assert -1.0 <= features.min() < -0.01 < 0.01 < features.max() <= 1.0
    kinds = {type(layer).__name__ for layer in network.layers}
    assert kinds == {"InputLayer", "Conv2D", "LeakyReLU", "Flatten", "Dense"}
    assert {len(layer.get_weights()) for layer in network.layers if layer.get_weights()} == {2}  # no singular vectors
    ours = gan_networks.build_discriminator(SHAPE, 4, num_classes=2, of_images=of_images)
    assert {"SpectralNormalization", "MapDropout"} <= {type(layer).__name__ for layer in ours.layers}
    assert len(ours.trainable_weights) == len(network.trainable_weights)


def test_source_sees_deviations_within_the_batch_and_the_class_head_does_not():
    tf.keras.utils.set_random_seed(0)
    network = gan_networks.build_discriminator(SHAPE, 4, num_classes=2, minibatch_stddev=True)
    features = tf.random.normal((6, *SHAPE))
    hidden = tf.keras.Model(network.input, network.get_layer("label").input)(features).numpy()
    kernel, bias = network.get_layer("source").get_weights()
    seen = np.concatenate([hidden, np.repeat(np.sqrt(hidden.var(0, keepdims=True) + 1e-6), 6, 0)], 1)
    np.testing.assert_allclose(network(features)["source"], seen @ kernel + bias, atol=1e-5)
    np.testing.assert_allclose(network(features)["label"][:1], network(features[:1])["label"], atol=1e-6)
    with tf.GradientTape() as tape:
        tape.watch(features)
        same = network(tf.repeat(features[:1], 6, 0))["source"]
    assert np.isfinite(tape.gradient(same, features)).all()


@pytest.mark.parametrize(("size", "channels"), [(96, 1), (240, 1), (40, 2)])
def test_networks_of_slices_are_deeper_and_halve_their_filters(size, channels):
    shape, filters = (size, size, channels), 64
    assert gan_networks.hidden_filters(filters, True) == [64, 32, 16, 8, 4]
    assert gan_networks.hidden_filters(16, True) == [16, 8, 4, 4, 4]
    assert gan_networks.hidden_filters(filters, False) == [64, 64, 64]
    generator = gan_networks.build_generator(shape, filters, 3, num_classes=2, of_images=True)
    network = gan_networks.build_discriminator(shape, filters, num_classes=2, of_images=True)
    assert generator.output_shape == (None, *shape)
    smallest = -(-size // 16)  # 15 of 240
    (reshape,) = (layer for layer in generator.layers if isinstance(layer, tf.keras.layers.Reshape))
    assert reshape.output_shape == (None, smallest, smallest, 64)
    # dense, deconvolutions of 4 x 4, batch norms of 4 each, convolution 3 x 3
    deconvolutions = 16 * (64 * 32 + 32 * 16 + 16 * 8 + 8 * 4)
    norms = 4 * (64 + 32 + 16 + 8 + 4)
    wanted = 5 * smallest**2 * 64 + deconvolutions + norms + 9 * 4 * channels + channels
    assert generator.count_params() == wanted
    # convolutions of 3 x 3 with biases and a singular vector each, heads on what five halvings leave
    pairs = [(channels, 4), (4, 8), (8, 16), (16, 32), (32, 64)]
    left = (-(-size // 32)) ** 2 * 64
    wanted = sum(9 * a * b + 2 * b for a, b in pairs) + 3 * left + 3
    assert network.count_params() == wanted


def test_kernels_start_with_deviation_0_02():
    tf.keras.utils.set_random_seed(0)
    networks = (
        build(SHAPE, 64, num_classes=2) for build in (gan_networks.build_generator, gan_networks.build_discriminator)
    )
    kernels = [w for network in networks for w in network.trainable_weights if w.shape.rank == 4]
    assert len(kernels) == 6
    for kernel in kernels:
        assert np.std(kernel) == pytest.approx(0.02, rel=0.05), kernel.name


def test_projection_adds_the_inner_product_with_the_vector_of_the_class():
    """Miyato and Koyama 2018, eq. (3): f(x, y) = y^T V phi(x) + psi(phi(x))."""
    tf.keras.utils.set_random_seed(0)
    network = gan_networks.build_discriminator(
        SHAPE, 4, num_classes=2, has_auxiliary_classifier=False, is_projection_conditioned=True
    )
    features = tf.random.normal((5, *SHAPE))
    hidden = tf.keras.Model(network.input, network.get_layer("source").input)(features).numpy()
    kernel, bias = network.get_layer("source").get_weights()
    (vectors,) = network.get_layer("projection").get_weights()
    found = network(features)["source"]
    for row in range(5):
        for label in (0, 1):
            wanted = sum(hidden[row] * kernel[:, 0]) + bias[0] + sum(hidden[row] * vectors[:, label])
            assert float(found[row, label]) == pytest.approx(wanted, abs=1e-5)


def test_deviations_of_codes_are_bounded_below():
    network = discriminator()
    network.get_layer("code_deviation").bias.assign([-1000.0, 0.0, 1000.0])
    found = network(tf.zeros((1, *SHAPE)))["code_deviation"].numpy()[0]
    np.testing.assert_allclose(found, [0.05, np.log(2) + 0.05, 1000.05], rtol=1e-6)


def test_layout_pass_of_a_gpu_takes_a_training_discriminator_and_fails_on_keras_dropout(monkeypatch):
    def laid_out():
        network = gan_networks.build_discriminator((15, 15, 8), 8, num_classes=2)

        def gradient(x):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(network(x, training=True)["source"])
            return tape.gradient(loss, network.trainable_variables[0])

        return gpu_layout.laid_out(tf.function(gradient).get_concrete_function(tf.TensorSpec((None, 15, 15, 8))), "6.1")

    assert laid_out().count("Transpose") > 10  # channels first
    monkeypatch.setattr(gan_networks, "MapDropout", tf.keras.layers.Dropout)
    with pytest.raises(tf.errors.InvalidArgumentError, match="Size of values 0 does not match size of permutation 4"):
        laid_out()
