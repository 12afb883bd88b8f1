import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.data.store_writer import Writer
from rembrandt_featgen.nn import mixed_precision
from rembrandt_featgen.segmentation import class_aware, losses
from rembrandt_featgen.segmentation.unet import build_unet, tap_model
from tests.data import truths

LABELS = np.array([1, 0, 1, 0], np.int32)
CLASS_WEIGHTS = (1.5, 0.75)
RATE = 0.5


def batch(size=32):
    """Four slices of noise with tumour in a corner; the last one has none."""
    rng = np.random.default_rng(0)
    masks = np.zeros((4, size, size, 1), np.uint8)
    masks[:3, :12, :20] = 1
    images = rng.normal(size=masks.shape).astype(np.float32) + masks
    return tf.constant(images), (tf.constant(masks), tf.constant(LABELS))


def network(weight=0.7, precision="float32", optimizer=None, head=0.3):
    """A compiled model whose head has an opinion, of noise of size `head`."""
    tf.keras.utils.set_random_seed(0)
    model = class_aware.ClassAware(
        build_unet(1, 4, precision=precision), weight=weight, class_weights=CLASS_WEIGHTS, seed=3
    )
    model.head.set_weights([np.random.default_rng(1).normal(scale=head, size=(64, 1)), np.array([0.2])])
    model.norm.set_weights([np.full(64, 0.1), np.full(64, 0.5)])  # moving mean and variance
    optimizer = mixed_precision.scaled(optimizer or tf.keras.optimizers.SGD(RATE), precision)
    model.compile(optimizer, losses.batch_soft_dice_loss, [losses.iou, losses.hard_dice])
    return model


def one_step(model, data=None):
    """Logs of one step, eagerly, which is quicker than to trace it."""
    model.reset_metrics()
    return {name: float(value) for name, value in model.train_step(data or batch()).items()}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_average_over_the_tumour_by_hand(dtype):
    features = tf.constant([[[[1.0, 8.0], [3.0, 0.0]]], [[[5.0, 2.0], [7.0, 4.0]]]], dtype)  # [2, 1, 2, 2]
    tumour = np.zeros((2, 2, 4, 1), np.float32)
    tumour[0, :, :, 0] = [[0.2, 0.4, 0.0, 0.1], [0.6, 0.8, 0.0, 0.3]]  # means of the two positions: 0.5 and 0.1
    found = class_aware.tumour_average(features, tf.constant(tumour))
    assert found.dtype == tf.float32
    # (0.5 * 1 + 0.1 * 3) / 0.6 and (0.5 * 8) / 0.6; without tumour the plain means
    np.testing.assert_allclose(found, [[4 / 3, 20 / 3], [6.0, 3.0]], rtol=1e-4)


def test_average_passes_gradient_to_the_features_alone():
    features, tumour = tf.random.uniform((1, 2, 2, 3)), tf.random.uniform((1, 32, 32, 1))
    with tf.GradientTape() as tape:
        tape.watch([features, tumour])
        average = class_aware.tumour_average(features, tumour)
    of_features, of_tumour = tape.gradient(average, [features, tumour])
    assert of_tumour is None
    np.testing.assert_allclose(tf.reduce_sum(of_features, (1, 2)), np.ones((1, 3)), rtol=1e-5)


@pytest.mark.parametrize(
    ("weights", "wanted"),
    [
        # -log sigmoid(2) = 0.126928, -log(1 - sigmoid(1)) = 1.313262, -log sigmoid(-1) = 1.313262
        ([1.0, 1.0, 1.0], (0.126928 + 1.313262 + 1.313262) / 3),
        ([0.75, 1.5, 0.0], (0.75 * 0.126928 + 1.5 * 1.313262) / 2),
        ([0.0, 0.0, 0.0], 0.0),
    ],
)
def test_class_loss_by_hand(weights, wanted):
    found = class_aware.class_loss(tf.constant([1, 0, 1]), tf.constant([[2.0], [1.0], [-1.0]]), tf.constant(weights))
    assert float(found) == pytest.approx(wanted, abs=1e-5)


def test_logs_of_validation_by_hand():
    model = network()
    images, (masks, labels) = batch()
    found = {name: float(value) for name, value in model.test_step((images, (masks, labels))).items()}
    tumour = model.unet(images).numpy()
    features = tap_model(model.unet, "conv5")(images).numpy()  # [4, 2, 2, 64]
    weight = tumour.reshape(4, 2, 16, 2, 16).mean((2, 4))[..., np.newaxis]
    average = ((features * weight).sum((1, 2)) / weight.sum((1, 2)) - 0.1) / np.sqrt(0.5 + 1e-3)
    logits = (average @ model.head.get_weights()[0])[:, 0] + 0.2
    surprise = np.log1p(np.exp(-np.where(LABELS == 1, logits, -logits)))
    of_slices = np.array([0.75, 1.5, 0.75, 0.0])  # classes 1, 0, 1, and 0 without tumour
    assert 0.0 < (right := (logits > 0) == LABELS)[:3].mean() < 1.0
    assert found == pytest.approx(
        {
            "loss": float(losses.batch_soft_dice_loss(masks, tumour)),  # of segmentation alone
            "iou": losses.iou(masks, tumour).numpy().mean(),
            "hard_dice": losses.hard_dice(masks, tumour).numpy().mean(),
            "class_loss": (of_slices * surprise).sum() / 3,
            "class_accuracy": (of_slices * right).sum() / 3,
        },
        rel=1e-4,
    )


def test_step_goes_down_the_gradient_of_the_sum(monkeypatch):
    monkeypatch.setattr(class_aware, "_DROPOUT", 0.0)
    model, reference = network(), network()
    images, (masks, labels) = batch()
    both = tf.keras.Model(reference.unet.input, [reference.unet.get_layer("conv5_2").output, reference.unet.output])
    variables = [*reference.unet.trainable_weights, *reference.head.trainable_weights]
    with tf.GradientTape() as tape:
        features, tumour = both(images)
        average = class_aware.tumour_average(features, tumour)
        mean, variance = tf.nn.moments(average, 0)
        logits = reference.head((average - mean) / tf.sqrt(variance + 1e-3))
        weights = tf.constant([0.75, 1.5, 0.75, 0.0])
        loss = losses.batch_soft_dice_loss(masks, tumour) + 0.7 * class_aware.class_loss(labels, logits, weights)
    wanted = [v - RATE * g for v, g in zip(variables, tape.gradient(loss, variables))]
    one_step(model)
    for found, value in zip([*model.unet.weights, *model.head.weights], wanted):
        np.testing.assert_allclose(found, value, atol=5e-6)


def test_the_class_reaches_the_encoder_and_not_the_decoder():
    with_class, without = network(1.0), network(0.0)
    one_step(with_class)
    one_step(without)
    moved = {v.name.split("/")[0] for v, w in zip(with_class.weights, without.weights) if np.any(v != w)}
    assert moved == {f"conv{level}_{i}" for level in range(1, 6) for i in (1, 2)}


def test_features_of_any_size_give_the_same_class():
    """Standardised over the batch, so that features cannot become small to say nothing."""
    model = network()
    features, tumour = tf.random.uniform((4, 2, 2, 64)), tf.random.uniform((4, 32, 32, 1))
    small, large = (model._class_logits(scale * features, tumour, training=True) for scale in (1e2, 1e4))
    np.testing.assert_allclose(small, large, rtol=0.02)
    # one batch with a momentum of 0.9, from 0.1
    wanted = 0.09 + 0.1 * 100 * tf.reduce_mean(class_aware.tumour_average(features, tumour), 0)
    model = network()
    model._class_logits(100 * features, tumour, training=True)
    np.testing.assert_allclose(model.norm.moving_mean, wanted, rtol=1e-4)


def test_head_starts_from_its_seed_and_leaves_the_unets_alone():
    def build(seed):
        tf.keras.utils.set_random_seed(0)
        unet = build_unet(1, 4)
        before = unet.get_weights()
        model = class_aware.ClassAware(unet, weight=0.7, class_weights=CLASS_WEIGHTS, seed=seed)
        assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights()))
        return model.head.get_weights()[0]

    kernel, same, other = build(3), build(3), build(4)
    np.testing.assert_array_equal(kernel, same)
    assert np.abs(kernel - other).min() > 0.0


def test_weight_of_zero_is_the_plain_unet_to_the_last_bit():
    model, plain = network(0.0), network().unet
    plain.compile(tf.keras.optimizers.SGD(RATE), losses.batch_soft_dice_loss, [losses.iou])
    images, (masks, _) = batch()
    logs, found = one_step(plain, (images, masks)), one_step(model)
    assert {name: found[name] for name in logs} == logs
    for one, other in zip(model.unet.get_weights(), plain.get_weights()):
        np.testing.assert_array_equal(one, other)


def test_slices_without_tumour_teach_no_class():
    """With no tumour anywhere, labels make no difference and the head stays where it is."""
    images, (masks, labels) = batch()
    models = network(), network()
    before = models[0].head.get_weights()
    for model, given in zip(models, (labels, 1 - labels)):
        assert one_step(model, (images, (tf.zeros_like(masks), given)))["class_loss"] == 0.0
        for old, new in zip(before, model.head.get_weights()):
            np.testing.assert_array_equal(old, new)
    for one, other in zip(models[0].get_weights(), models[1].get_weights()):
        np.testing.assert_array_equal(one, other)


def test_weights_are_those_of_the_unet():
    model = network()
    assert [id(weight) for weight in model.weights] == [id(weight) for weight in model.unet.weights]
    assert len(model.trainable_weights) == 48  # 46 of the U-Net and two of the head
    np.testing.assert_array_equal(model(batch()[0]), model.unet(batch()[0]))


def test_dropout_is_a_function_of_seed_and_step():
    model = network()
    features, tumour = tf.random.uniform((4, 2, 2, 64)), tf.random.uniform((4, 32, 32, 1))

    def logits(seed, step):
        model._seed = seed
        model.optimizer.iterations.assign(step)
        return model._class_logits(features, tumour, training=True).numpy()

    np.testing.assert_array_equal(logits(3, 0), logits(3, 0))
    assert np.abs(logits(3, 0) - logits(3, 1)).min() > 0.0
    assert np.abs(logits(3, 0) - logits(4, 0)).min() > 0.0


@pytest.mark.parametrize("precision", mixed_precision.PRECISIONS)
def test_steps_in_precision_move_every_weight(precision):
    model = network(0.7, precision, tf.keras.optimizers.Adam(1e-2))
    variables = model.unet.weights + model.head.weights
    assert {variable.dtype for variable in variables} == {tf.float32}
    before = [variable.numpy() for variable in variables]
    for _ in range(8 if precision == "float16" else 1):  # in float16, the first ones only find the scale of the loss
        logs = one_step(model)
    assert set(logs) == {"loss", "iou", "hard_dice", "class_loss", "class_accuracy"}
    assert np.isfinite(list(logs.values())).all()
    stuck = [variable.name for old, variable in zip(before, variables) if not np.any(old != variable)]
    assert not stuck


def test_learns_the_class_of_a_brightness():
    """Tumours of class 1 are brighter here: a few steps, traced as in a run, separate them."""
    images, (masks, labels) = batch()
    images += 2.0 * tf.cast(masks, tf.float32) * tf.reshape(tf.cast(labels, tf.float32), (4, 1, 1, 1))
    model = network(1.0, optimizer=tf.keras.optimizers.Adam(1e-2), head=0.0)
    data = tf.data.Dataset.from_tensors((images, (masks, labels)))
    model.fit(data.repeat(), epochs=1, steps_per_epoch=40, verbose=0)
    found = model.evaluate(data, verbose=0, return_dict=True)
    assert found["class_accuracy"] == 1.0
    assert found["class_loss"] < 0.4


def test_three_classes_have_a_logit_each():
    logits = np.array([[1.0, 0.0, -1.0], [0.0, 2.0, 0.0], [0.5, 0.5, 0.5]], np.float32)
    weights = np.array([2.0, 0.0, 0.5], np.float32)  # the second is left out
    found = class_aware.class_loss(tf.constant([2, 1, 0]), tf.constant(logits), tf.constant(weights))
    first = np.log(np.exp(logits[0]).sum()) + 1.0
    assert float(found) == pytest.approx((2.0 * first + 0.5 * np.log(3)) / 2, rel=1e-5)
    model = class_aware.ClassAware(build_unet(1, 4), weight=0.7, class_weights=(1.0, 1.0, 2.0), seed=3)
    model.compile(tf.keras.optimizers.SGD(RATE), losses.batch_soft_dice_loss, [losses.iou])
    before = model.head.get_weights()
    images, (masks, _) = batch()
    logs = one_step(model, (images, (masks, tf.constant([2, 0, 1, 0]))))
    assert model.head.get_weights()[0].shape == (64, 3)
    assert all(np.any(old != new) for old, new in zip(before, model.head.get_weights()))
    assert 0.0 < logs["class_loss"] < 10.0 and 0.0 <= logs["class_accuracy"] <= 1.0


@pytest.mark.parametrize(
    ("sampling", "counts"),
    # 4 of A's slices and 3 of the others' have tumour; with patients drawn alike, 14 in 15 of A's draws
    [("slices", [4, 3]), ("patients", [14 / 15, 5 / 6 + 5 / 6 + 1])],
)
def test_class_weights_are_of_what_is_drawn(tmp_path, sampling, counts):
    spec = {"image": ((16, 16, 1), "float32"), "mask": ((16, 16, 1), "uint8")}
    areas = np.array([5, 1, 2, 2, 0, 8, 0, 8, 0, 8])
    patients = ["A"] * 5 + ["B1", "B1", "B2", "B2", "B3"]
    with Writer(tmp_path, "train", spec) as writer:
        for number, patient in enumerate(patients):
            blank = np.zeros((16, 16, 1))
            writer.write({"image": blank, "mask": blank}, patient, slice_index=number, label=int(patient != "A"))
    truths.write(tmp_path, "train", areas)
    classes, options = Classes.of(("a", "b")), {"weight": 0.3, "sampling": sampling}
    weights = class_aware.class_weights(tmp_path, classes, **options)
    np.testing.assert_allclose(weights, np.sum(counts) / (2 * np.array(counts)))
    assert class_aware.class_weights(tmp_path, classes, weight=0.0, sampling=sampling) is None
    kept = np.array([patient in ("A", "B3") for patient in patients])
    some = class_aware.class_weights(tmp_path, classes, weight=0.3, sampling="slices", kept=kept)
    np.testing.assert_allclose(some, [5 / 8, 5 / 2])  # 4 slices with tumour are A's, one is B3's
