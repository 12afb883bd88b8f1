import numpy as np
import tensorflow as tf

from rembrandt_featgen.nn import inference


def test_runner_is_the_network_in_inference_mode():
    tf.keras.utils.set_random_seed(0)
    layers = [tf.keras.layers.Dense(4), tf.keras.layers.BatchNormalization(), tf.keras.layers.Dropout(0.5)]
    network = tf.keras.Sequential([tf.keras.Input((3,)), *layers])
    batch = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    before = network.get_weights()
    run = inference.runner(network)
    found = run(batch)
    assert isinstance(found, np.ndarray)
    np.testing.assert_allclose(found, network(batch, training=False), rtol=1e-6)
    np.testing.assert_array_equal(run(tf.constant(batch[:2])), found[:2])
    for old, new in zip(before, network.get_weights()):  # no moving mean has moved
        np.testing.assert_array_equal(old, new)


def test_runner_follows_the_weights():
    network = tf.keras.Sequential([tf.keras.Input((1,)), tf.keras.layers.Dense(1, use_bias=False)])
    run, one = inference.runner(network), np.ones((1, 1), np.float32)
    for weight in (2.0, 3.0):
        network.set_weights([np.array([[weight]])])
        assert run(one).item() == weight
