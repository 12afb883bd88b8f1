import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.classification import map_networks
from rembrandt_featgen.nn import mixed_precision

SCALE = np.array([1.0, 4.0, 0.5], np.float32)


def features(shape, count=6, seed=0):
    """Features like those of a ReLU."""
    return np.maximum(np.random.default_rng(seed).normal(size=(count, *shape)), 0).astype(np.float32)


def build(kind, shape=(8, 9, 3), scale=SCALE, **settings):
    """A narrow classifier with reproducible weights."""
    tf.keras.utils.set_random_seed(0)
    architecture = map_networks.Architecture(kind, shape, filters=4, units=6, **settings)
    return map_networks.build_classifier(architecture, scale)


def mean_of_grid(images, edges):
    """Means over the cells between `edges` of both axes, written apart from the package."""
    return np.stack(
        [
            images[:, top:bottom, left:right].mean((1, 2))
            for top, bottom in zip(edges[0], edges[0][1:])
            for left, right in zip(edges[1], edges[1][1:])
        ],
        axis=1,
    )


@pytest.mark.parametrize("kind", map_networks.KINDS)
@pytest.mark.parametrize("shape", [(15, 15, 3), (8, 9, 3), (4, 4, 3), (1, 2, 3)])
@pytest.mark.parametrize("num_classes", [2, 3])
def test_gives_a_probability_of_each_class(kind, shape, num_classes):
    probabilities = build(kind, shape, num_classes=num_classes)(features(shape)).numpy()
    assert probabilities.shape == (6, num_classes)
    assert probabilities.dtype == np.float32
    assert np.all((probabilities > 0) & (probabilities < 1))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-6)
    assert len(np.unique(probabilities[:, 1])) == 6


def test_cnn_has_the_papers_structure():
    network, loss = map_networks.for_training(build("cnn"))
    assert loss == "binary_crossentropy"
    layers = network.layers[1:]
    block = ["Conv2D", "BatchNormalization", "ReLU", "MaxPooling2D"]
    names = [type(layer).__name__ for layer in layers]
    assert names == ["Rescaling", *block, *block, "Flatten", "Dropout", "Dense", "Dropout", "Dense", "Activation"]
    assert [layer.rate for layer in layers if isinstance(layer, tf.keras.layers.Dropout)] == [0.5, 0.5]
    dense = [layer for layer in layers if isinstance(layer, tf.keras.layers.Dense)]
    assert [(layer.units, layer.activation.__name__) for layer in dense] == [(6, "relu"), (1, "linear")]
    assert layers[-1].activation is tf.keras.activations.sigmoid


@pytest.mark.parametrize(("kind", "blocks"), [("cnn", 3), ("linear", 1)])
def test_blocks_chained_on_scaled_features_are_the_classifier(kind, blocks):
    network, images = build(kind), features((8, 9, 3))
    parts = map_networks.build_blocks(map_networks.Architecture(kind, (8, 9, 3), filters=4, units=6))
    assert len(parts) == blocks
    layers = [layer for part in parts for layer in part]
    for _ in range(2):  # the first pass builds the layers
        x = tf.constant(images / SCALE)
        for layer in layers:
            x = layer(x)
        weights = iter(network.get_weights())
        for layer in layers:
            layer.set_weights([next(weights) for _ in layer.weights])
    np.testing.assert_allclose(tf.sigmoid(x), network(images)[:, 1:], rtol=1e-5)


def test_cnn_counts_its_parameters_by_hand():
    # blocks: 3 3 3 4 and 3 3 4 8, four numbers of batch norm each; 15 -> 8 -> 4; dense 4 4 8 6 + 6, 6 + 1
    assert build("cnn", (15, 15, 3)).count_params() == 108 + 16 + 288 + 32 + 774 + 7


@pytest.mark.parametrize(
    ("shape", "edges"),
    [
        ((15, 15, 3), ([0, 5, 10, 15], [0, 5, 10, 15])),  # conv5 of the paper's slices
        ((9, 3, 3), ([0, 3, 6, 9], [0, 1, 2, 3])),
        ((8, 16, 3), ([0, 3, 6, 8], [0, 5, 11, 16])),  # where 3 does not divide, the outer cells are smaller
        ((5, 4, 3), ([0, 2, 4, 5], [0, 2, 4])),  # 4 makes two cells, not three
        ((2, 1, 3), ([0, 1, 2], [0, 1])),
    ],
)
def test_linear_is_logistic_regression_on_an_average_grid(shape, edges):
    network, images = build("linear", shape), features(shape)
    kernel, bias = np.random.default_rng(1).normal(size=network.weights[0].shape), np.array([0.3])
    network.set_weights([kernel, bias])
    cells = mean_of_grid(images / SCALE, edges).reshape(len(images), -1)
    np.testing.assert_allclose(network(images)[:, 1:], 1 / (1 + np.exp(-(cells @ kernel + bias))), rtol=1e-5)


def test_unknown_kind_is_quoted_with_the_known():
    with pytest.raises(ValueError, match="kind must be one of cnn, linear, received 'forest'"):
        build("forest")


@pytest.mark.parametrize("scale", [np.array([1.0, 0.0, 0.5], np.float32), np.array([1.0, 0.0, 0.5])])
@pytest.mark.parametrize("kind", map_networks.KINDS)
def test_channel_of_zero_scale_is_ignored(kind, scale):
    network, quiet = build(kind, scale=scale), features((8, 9, 3))
    loud = quiet.copy()
    loud[..., 1] = 1e6
    assert np.isfinite(network(quiet)).all()
    np.testing.assert_array_equal(network(loud), network(quiet))
    loud[..., 2] *= 2
    assert np.any(network(loud) != network(quiet))


@pytest.mark.parametrize("kind", map_networks.KINDS)
def test_features_are_divided_by_their_scale(kind):
    images = features((8, 9, 3))
    np.testing.assert_allclose(build(kind)(images * SCALE), build(kind, scale=np.ones(3))(images), rtol=1e-5)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_cnn_computes_in_precision_and_ends_in_float32(precision):
    network = build("cnn", precision=precision)
    assert {layer.compute_dtype for layer in map_networks.for_training(network)[0].layers[2:-2]} == {precision}
    assert {weight.dtype for weight in network.weights} == {tf.float32}
    images = features((8, 9, 3))
    found = network(images)
    assert found.dtype == tf.float32
    np.testing.assert_allclose(found, build("cnn")(images), atol=0.02)


@pytest.mark.parametrize("precision", mixed_precision.PRECISIONS)
@pytest.mark.parametrize("kind", map_networks.KINDS)
@pytest.mark.parametrize("num_classes", [2, 3])
def test_step_moves_every_weight(kind, precision, num_classes):
    network = build(kind, precision=precision, num_classes=num_classes)
    trainable, loss = map_networks.for_training(network)
    trainable.compile(mixed_precision.scaled(tf.keras.optimizers.Adam(1e-2), precision), loss)
    before, labels = network.get_weights(), np.arange(16) % num_classes
    p = trainable(features((8, 9, 3), 16), training=False).numpy()
    loss = trainable.fit(features((8, 9, 3), 16), labels, batch_size=16, verbose=0).history["loss"]
    if (kind, precision) == ("linear", "float32"):  # without dropout, the loss of the weights before
        p = np.column_stack([1 - p, p]) if num_classes == 2 else p
        np.testing.assert_allclose(loss, [-np.log(p[np.arange(16), labels]).mean()], rtol=1e-4)
    assert np.isfinite(loss).all()
    stuck = [weight.name for old, weight in zip(before, network.weights) if not np.any(old != weight)]
    assert not stuck
