import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.nn.map_dropout import MapDropout


@pytest.mark.parametrize(("dtype", "in_graph"), [("float32", True), ("bfloat16", False), ("float16", True)])
def test_same_values_and_gradients_as_keras(dtype, in_graph):
    x = tf.cast(tf.random.stateless_normal((3, 4, 5, 6), [0, 1]), dtype)

    def of(kind):
        tf.keras.utils.set_random_seed(7)
        layer = kind(0.25, dtype=dtype)
        run = tf.function(lambda x: layer(x, training=True)) if in_graph else lambda x: layer(x, training=True)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = run(x)
        return [tf.cast(found, tf.float32).numpy() for found in (y, tape.gradient(y, x))]

    ours, keras = of(MapDropout), of(tf.keras.layers.Dropout)
    np.testing.assert_array_equal(ours, keras)
    assert 0.1 < np.mean(ours[0] == 0) < 0.4


def test_at_rest_it_is_the_identity():
    x = tf.random.stateless_normal((2, 3, 3, 2), [0, 1])
    np.testing.assert_array_equal(MapDropout(0.5)(x, training=False), x)
    assert MapDropout(0.5)(tf.keras.Input((3, 3, 2))).shape == (None, 3, 3, 2)
