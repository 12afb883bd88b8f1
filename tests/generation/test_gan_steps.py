"""The training step of each kind of GAN: its equations by hand, and that it learns."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from rembrandt_featgen.generation.gan import GAN, build_gan
from rembrandt_featgen.generation.gan_spec import GanSpec
from rembrandt_featgen.nn import mixed_precision
from tests import gpu_layout

RATE = 0.3
WEIGHT = 0.7  # of L_I
SCALE = np.array([2.0, 0.5])
FEATURES = np.array([[1.0, 0.2], [3.0, 0.0], [0.5, 0.9], [2.0, 0.4]])
LABELS = np.array([0, 1, 1, 0])
ROWS = np.arange(4)
ONE_HOT = np.eye(2)
# Kernels and biases of D's heads on two numbers, and G's kernel on noise (2), one code where there is one, and label.
HEADS = {
    "source": ([[0.5], [-0.3]], [0.1]),
    "label": ([[0.2, -0.4], [0.7, 0.3]], [0.0, 0.2]),
    "projection": ([[-0.6, 0.4], [0.3, 0.8]],),
    "code_mean": ([[0.3], [-0.5]], [0.05]),
    "code_deviation": ([[0.4], [0.2]], [-0.3]),
}
NOISE_KERNEL, CODE_KERNEL, LABEL_KERNEL = [[0.6, -0.2], [0.1, 0.8]], [[0.5, -0.7]], [[0.9, 0.4], [0.3, 1.1]]


def linear_gan(kind, class_loss="correct"):
    """A GAN of two linear networks on features of two numbers, whose step can be written out by hand."""
    layers = tf.keras.layers
    feature = tf.keras.Input((1, 1, 2))
    flat = layers.Flatten()(feature)

    def head(name, **settings):
        weights = [tf.keras.initializers.Constant(value) for value in HEADS[name]]
        settings |= {"bias_initializer": weights[1]} if len(weights) == 2 else {"use_bias": False}
        return layers.Dense(len(HEADS[name][0][0]), name=name, kernel_initializer=weights[0], **settings)(flat)

    heads = {"source": head("source")}
    if kind == "cgan":
        heads["source"] = layers.Add()([heads["source"], head("projection")])
    else:
        heads["label"] = head("label")
    if kind == "infogan":
        heads |= {"code_mean": head("code_mean"), "code_deviation": head("code_deviation", activation="softplus")}
    kernel = NOISE_KERNEL + (CODE_KERNEL if kind == "infogan" else []) + LABEL_KERNEL
    noise, labels = tf.keras.Input((len(kernel) - 2,)), tf.keras.Input((), dtype=tf.int32)
    x = layers.Concatenate()([noise, layers.CategoryEncoding(2, "one_hot")(labels)])
    x = layers.Dense(2, "relu", use_bias=False, kernel_initializer=tf.keras.initializers.Constant(kernel))(x)
    generator = tf.keras.Model([noise, labels], layers.Reshape((1, 1, 2))(x))
    spec = GanSpec(
        kind, (1, 1, 2), 2, information_weight=WEIGHT, class_loss=class_loss, ema_decay=0.0, flip=False, seed=4
    )
    gan = GAN(generator, tf.keras.Model(feature, heads), spec, scale=SCALE)
    gan.compile(tf.keras.optimizers.SGD(RATE), tf.keras.optimizers.SGD(RATE))
    return gan


def step(gan):
    """Logs of one training step on FEATURES, and the noise and labels that it draws."""
    noise, labels = (part.numpy() for part in gan._noise_and_labels(tf.constant(4)))
    data = tf.constant(FEATURES.reshape(4, 1, 1, 2), tf.float32), tf.constant(LABELS, tf.int32)
    logs = {name: float(value) for name, value in gan.train_step(data).items()}
    return logs, noise.astype(np.float64), labels


def judge(weights, x, labels):
    """The logit of "real" of some samples with their labels, and the outputs of all heads."""
    heads = {name: x @ weights[name][0] + sum(weights[name][1:]) for name in weights if name in HEADS}
    return heads["source"][:, 0] + (heads["projection"][ROWS, labels] if "projection" in heads else 0.0), heads


def terms(weights, x, labels, real, kind, class_loss, codes):
    """(L_S, L_C, L_I) of some samples: what D maximises."""
    source, heads = judge(weights, x, labels)
    found = [special.log_expit(source if real else -source).mean(), 0.0, 0.0]
    if kind != "cgan":
        probability = special.softmax(heads["label"], 1)[ROWS, labels]
        found[1] = (np.log(probability) if class_loss == "correct" else probability).mean()
    if kind == "infogan" and codes is not None:
        deviation = np.log1p(np.exp(heads["code_deviation"]))
        density = np.exp(-(((codes - heads["code_mean"]) / deviation) ** 2) / 2) / deviation / np.sqrt(2 * np.pi)
        found[2] = np.log(density).mean() + np.log(2)  # H(c) of one code
    return found


def descend(loss, weights, names):
    """`weights` after one step down the gradient of `loss`, found by differences, in those of `names`."""
    moved = {name: [value.copy() for value in weights[name]] for name in weights}
    for name in names:
        for value, new in zip(weights[name], moved[name]):
            for index in np.ndindex(value.shape):
                kept, sides = value[index], []
                for change in (1e-5, -1e-5):
                    value[index] = kept + change
                    sides.append(loss(weights))
                value[index] = kept
                new[index] = kept - RATE * (sides[0] - sides[1]) / 2e-5
    return moved


@pytest.mark.parametrize(
    ("kind", "class_loss"), [("acgan", "correct"), ("acgan", "reference"), ("infogan", "correct"), ("cgan", "correct")]
)
def test_step_descends_the_kinds_losses(kind, class_loss):
    """D maximises L_S + L_C + w L_I, then G maximises E[log P(real | fake)] + L_C + w L_I against the new D."""
    gan = linear_gan(kind, class_loss)
    names = [layer.name for layer in gan.discriminator.layers if layer.name in HEADS]
    weights = {name: [np.array(value) for value in HEADS[name]] for name in names}
    weights["G"] = [gan.generator.get_weights()[0].astype(np.float64)]
    logs, noise, fake_labels = step(gan)
    inputs = np.concatenate([noise, ONE_HOT[fake_labels]], 1)
    codes = noise[:, -1:] if kind == "infogan" else None

    def fake(w):
        return np.maximum(inputs @ w["G"][0], 0)

    def d_loss(w):
        of_real = terms(w, FEATURES / SCALE, LABELS, True, kind, class_loss, None)
        of_fake = terms(w, fake(w), fake_labels, False, kind, class_loss, codes)
        return -np.dot(np.add(of_real, of_fake), [1, 1, WEIGHT])

    def g_loss(w):
        return -np.dot(terms(w, fake(w), fake_labels, True, kind, class_loss, codes), [1, 1, WEIGHT])

    assert 0 < np.sum(fake(weights) == 0) < 8  # both sides of the ReLU are met
    wanted = {"d_loss": d_loss(weights)}
    for name, x, labels in (("real", FEATURES / SCALE, LABELS), ("fake", fake(weights), fake_labels)):
        source, heads = judge(weights, x, labels)
        wanted[f"{name}_source"] = special.expit(source).mean()
        if kind != "cgan":
            wanted[f"{name}_class_accuracy"] = np.mean(heads["label"].argmax(1) == labels)
    if kind == "infogan":
        wanted["information"] = terms(weights, fake(weights), fake_labels, False, kind, class_loss, codes)[2]
    weights = descend(d_loss, weights, names)
    wanted["g_loss"] = g_loss(weights)
    weights = descend(g_loss, weights, ["G"])
    assert logs == pytest.approx(wanted, rel=1e-5)
    for name in names:
        for found, hand in zip(gan.discriminator.get_layer(name).get_weights(), weights[name]):
            np.testing.assert_allclose(found, hand, atol=2e-6, err_msg=name)
    np.testing.assert_allclose(gan.generator.get_weights()[0], weights["G"][0], atol=2e-6)


def bright_features(count):
    """Features of two channels of which class 0 fires the first, class 1 the second, by 0.5 to 1.5 everywhere."""
    labels, rng = np.arange(count, dtype=np.int32) % 2, np.random.default_rng(0)
    features = np.zeros((count, 4, 4, 2), np.float32)
    features[np.arange(count), :, :, labels] = rng.uniform(0.5, 1.5, (count, 1, 1))
    return features, labels


@pytest.fixture(scope="module", params=["acgan", "infogan", "cgan", "adcgan"])
def trained(request):
    """(GAN after 800 steps on bright features, noise, labels, features that it makes of them)."""
    tf.keras.utils.set_random_seed(1)
    tiny = {"filters_generator": 16, "filters_discriminator": 16, "latent": 3, "codes": 1, "ema_decay": 0.99}
    gan = build_gan(GanSpec(request.param, (4, 4, 2), 2, **tiny), np.ones(2))
    rate = 2e-3 if request.param == "infogan" else 5e-3  # codes take longer to settle
    gan.compile(mixed_precision.adam(rate, 0.5), mixed_precision.adam(rate, 0.5), steps_per_execution=50)
    features, labels = bright_features(800 * 16)
    gan.fit(features, labels, batch_size=16, shuffle=False, verbose=0)
    noise, labels = gan.noise(200, [9, 9]), tf.constant([0, 1] * 100)
    return gan, noise, labels.numpy(), gan.generate(noise, labels).numpy()


@pytest.mark.parametrize("architecture", ["6.1", "9.0"])
def test_layout_pass_of_a_gpu_takes_the_loop_of_steps(trained, architecture):
    """All that `fit` runs; the same with Keras' dropout fails, as does the discriminator alone (test_gan_networks)."""
    (steps,) = trained[0].train_tf_function._list_all_concrete_functions()
    assert gpu_layout.laid_out(steps, architecture).count("Transpose") > 50  # of 3 that it has without the pass


def test_generated_features_are_of_the_class_that_was_asked_for(trained):
    gan, _, labels, features = trained
    level = features.mean((1, 2))
    assert np.mean(level.argmax(1) == labels) > 0.97
    assert 0.5 < level[np.arange(200), labels].mean() < 1.5
    assert level[np.arange(200), 1 - labels].mean() < 0.25
    assert np.mean(gan.accepted(features, tf.constant(labels))) > 0.9


@pytest.mark.parametrize("trained", ["infogan"], indirect=True)
def test_codes_are_identified_from_features(trained):
    gan, noise, labels, features = trained
    heads = gan(features)
    assert np.corrcoef(heads["code_mean"][:, 0], noise[:, -1])[0, 1] > 0.9
    assert np.mean(heads["code_deviation"]) < 0.45  # of (-1, 1) it would be 0.577
    # all else being equal, the code alone changes a feature
    other = noise.numpy()
    other[:, -1] *= -1
    changed = gan.generate(tf.constant(other), tf.constant(labels)).numpy()
    far = np.abs(noise[:, -1]) > 0.5
    assert np.abs(changed - features)[far].mean() > 0.2 * features[far].mean()


@pytest.mark.parametrize("kind", ["acgan", "infogan", "cgan", "adcgan"])
def test_steps_of_three_classes(kind):
    """Every weight moves, noise comes with all classes alike, and class accuracy is that of the head of three."""
    tf.keras.utils.set_random_seed(2)
    tiny = {"filters_generator": 4, "filters_discriminator": 4, "latent": 3, "codes": 1, "ema_decay": 0.0}
    gan = build_gan(GanSpec(kind, (4, 4, 3), 3, **tiny), np.ones(3))
    gan.compile(mixed_precision.adam(1e-2, 0.5), mixed_precision.adam(1e-2, 0.5))
    _, labels = gan._noise_and_labels(tf.constant(12))
    assert np.bincount(labels).tolist() == [4, 4, 4]
    real = np.arange(12, dtype=np.int32) % 3
    features = np.random.default_rng(0).uniform(0, 0.2, (12, 4, 4, 3)) + np.eye(3)[real][:, None, None]
    networks = gan.generator, gan.discriminator
    before = [[weight.numpy() for weight in network.trainable_weights] for network in networks]
    history = gan.fit(features.astype(np.float32), real, batch_size=12, epochs=60, verbose=0).history
    for network, old in zip(networks, before):
        for start, weight in zip(old, network.trainable_weights):
            assert np.any(start != weight.numpy()), weight.name
    assert all(np.isfinite(values).all() for values in history.values())
    made, accepted = gan.draw(gan.noise(7, [1, 1]), tf.fill([7], 2))
    assert made.shape == (7, 4, 4, 3) and accepted.shape == (7,)
    if gan.has_auxiliary_classifier:
        logits = gan(features, training=False)["label"]
        assert logits.shape == (12, 3)
        assert np.mean(np.argmax(logits, axis=1) == real) > 0.6  # chance is a third
