import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.data import pipelines
from rembrandt_featgen.data.store_writer import Writer
from rembrandt_featgen.segmentation import losses, unet_callbacks
from rembrandt_featgen.segmentation.unet import build_unet


def pure(truth, probability):
    """A loss of 2 whatever is predicted."""
    return 2.0 + 0.0 * tf.reduce_sum(probability)


TRUTH = tf.constant([1.0, 0.0, 1.0, 0.0])[None, None, :, None]
PROBABILITY = tf.constant([0.5, 0.25, 0.25, 0.5])[None, None, :, None]
CROSS_ENTROPY = (np.log(2) + np.log(4 / 3) + np.log(4) + np.log(2)) / 4  # by hand


@pytest.mark.parametrize(("done", "weight"), [(0, 1.0), (1, 0.75), (3, 0.25), (4, 0.0), (9, 0.0)])
def test_cross_entropy_fades_to_nothing(done, weight):
    start = unet_callbacks.CrossEntropyHelp(pure, 4)
    for batch in range(done):
        start.on_train_batch_end(batch)
    assert float(start.loss(TRUTH, PROBABILITY)) == pytest.approx(2.0 + weight * CROSS_ENTROPY, rel=1e-6)
    resumed = unet_callbacks.CrossEntropyHelp(pure, 4)
    resumed.resume(done)
    assert float(resumed.loss(TRUTH, PROBABILITY)) == pytest.approx(2.0 + weight * CROSS_ENTROPY, rel=1e-6)


def test_loss_of_each_slice_gets_the_same_help():
    start = unet_callbacks.CrossEntropyHelp(losses.soft_dice_loss, 4)
    truth, probability = tf.repeat(TRUTH, 3, 0), tf.concat([PROBABILITY, TRUTH, 1 - TRUTH], 0)
    probability = tf.clip_by_value(probability, 0.01, 0.99)
    entropy = -np.mean(np.log(np.where(truth == 1, probability, 1 - probability)))
    wanted = losses.soft_dice_loss(truth, probability) + entropy
    np.testing.assert_allclose(start.loss(tf.cast(truth, tf.uint8), probability), wanted, rtol=1e-5)


def test_no_steps_are_the_papers_pure_dice():
    start = unet_callbacks.CrossEntropyHelp(pure, 0)
    start.on_train_batch_end(0)
    start.resume(5)
    assert float(start.loss(TRUTH, PROBABILITY)) == 2.0


@pytest.mark.parametrize("help", [unet_callbacks.CrossEntropyHelp(pure, 4), unet_callbacks.CrossEntropyHelp(pure)])
def test_help_that_is_kept_stays(help):
    help.resume(2)
    help.keep()
    help.on_train_batch_end(0)
    assert float(help.loss(TRUTH, PROBABILITY)) == pytest.approx(2.0 + CROSS_ENTROPY, rel=1e-6)


def test_cross_entropy_throughout():
    help = unet_callbacks.CrossEntropyHelp(pure, 4, throughout=True)
    help.resume(100)
    for batch in range(9):
        help.on_train_batch_end(batch)
    assert float(help.loss(TRUTH, PROBABILITY)) == pytest.approx(2.0 + CROSS_ENTROPY, rel=1e-6)


def test_help_fades_inside_a_compiled_training():
    """The weight must be read at each step, not when the step is traced."""
    model = tf.keras.Sequential([tf.keras.Input((1, 4, 1)), tf.keras.layers.Conv2D(1, 1, activation="sigmoid")])
    start = unet_callbacks.CrossEntropyHelp(pure, 4)
    model.compile(tf.keras.optimizers.SGD(0.0), start.loss)
    model.set_weights([np.zeros((1, 1, 1, 1)), np.array([-1.0])])
    batches = tf.data.Dataset.from_tensors((TRUTH, TRUTH)).repeat()
    history = model.fit(batches, epochs=3, steps_per_epoch=2, callbacks=[start], verbose=0).history["loss"]
    entropy = (np.log1p(np.exp(1)) + np.log1p(np.exp(-1))) / 2
    wanted = [(1 + 0.75) / 2, (0.5 + 0.25) / 2, 0.0]
    assert history == pytest.approx([2 + weight * entropy for weight in wanted], rel=1e-5)


@pytest.fixture(scope="module")
def unet():
    tf.keras.utils.set_random_seed(0)
    return build_unet(1, 2)


@pytest.mark.parametrize("dice", [losses.soft_dice_loss, losses.batch_soft_dice_loss])
@pytest.mark.parametrize("bias", [-20.0, -60.0])
def test_unet_that_predicts_nothing_gets_a_gradient(unet, dice, bias):
    head = unet.get_layer("uconv1")
    head.set_weights([head.get_weights()[0], np.array([bias])])
    generator = np.random.default_rng(0)
    images = tf.constant(generator.normal(size=(2, 16, 16, 1)), tf.float32)
    masks = tf.constant(generator.random((2, 16, 16, 1)) < 0.2, tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        probability = unet(images, training=True)
        alone = tf.reduce_mean(dice(masks, probability))
        helped = tf.reduce_mean(unet_callbacks.CrossEntropyHelp(dice, 10).loss(masks, probability))
    assert float(tf.reduce_max(probability)) < 1e-6
    trap, way_out = (tape.gradient(loss, unet.trainable_weights) for loss in (alone, helped))
    assert max(float(tf.norm(gradient)) for gradient in trap) < 1e-6
    assert min(float(tf.norm(gradient)) for gradient in way_out) > 1e-5  # in every layer
    # of cross-entropy by the head's bias: mean(probability - truth), towards more tumour
    assert way_out[-1].numpy() == pytest.approx(-np.mean(masks), rel=1e-3)


@pytest.fixture
def stored(tmp_path):
    """Validation slices of three patients, the last without tumour, and where the U-Net below predicts some."""
    generator, images = np.random.default_rng(0), []
    spec = {"image": ((16, 16, 1), "float32"), "mask": ((16, 16, 1), "uint8")}
    with Writer(tmp_path, "validation", spec) as writer:
        for number, patient in enumerate("AABBBCC"):
            image = generator.normal(size=(16, 16, 1)).astype(np.float32)
            mask = (image + 0.5 * generator.normal(size=image.shape) > 0.8) & (patient != "C") & (number != 2)
            writer.write({"image": image, "mask": mask}, patient, slice_index=number, label=0)
            images.append((image, mask))
    return tmp_path, *(np.stack(each) for each in zip(*images))


def test_validation_is_that_of_keras_and_of_whole_volumes(stored):
    folder, images, masks = stored
    unet = tf.keras.Sequential([tf.keras.Input((16, 16, 1)), tf.keras.layers.Activation("sigmoid")])
    unet.compile(loss=losses.batch_soft_dice_loss, metrics=[losses.soft_dice_loss, losses.hard_dice, losses.iou])
    logs = {}
    validation = unet_callbacks.Validation(unet, losses.batch_soft_dice_loss, folder=folder, batch=4)
    validation.on_epoch_end(0, logs)
    wanted = unet.evaluate(pipelines.slice_pairs(folder, "validation", 4), verbose=0, return_dict=True)
    assert {name: logs[f"val_{name}"] for name in wanted} == pytest.approx(wanted, rel=1e-5)
    predicted = images > 0  # where sigmoid(image) is above 0.5
    dice = [
        2 * (predicted[own] & masks[own]).sum() / (predicted[own].sum() + masks[own].sum())
        for own in (slice(0, 2), slice(2, 5))
    ]
    assert logs["val_volume_dice"] == pytest.approx(np.mean(dice))
    assert logs["val_tumour_found"] == pytest.approx((predicted & masks).sum() / masks.sum())
    assert set(logs) == {f"val_{name}" for name in (*wanted, "volume_dice", "tumour_found")}
    nothing = tf.keras.Sequential([tf.keras.Input((16, 16, 1)), tf.keras.layers.Lambda(tf.zeros_like)])
    unet_callbacks.Validation(nothing, losses.batch_soft_dice_loss, folder=folder, batch=4).on_epoch_end(1, logs)
    assert (logs["val_volume_dice"], logs["val_tumour_found"]) == (0.0, 0.0)
    assert logs["val_iou"] == pytest.approx(3 / 7)  # what three slices without tumour count for


def test_images_show_slice_truth_and_prediction(tmp_path):
    images = tf.random.stateless_normal([2, 8, 8, 1], [1, 2])
    model = tf.keras.Sequential([tf.keras.Input((8, 8, 1)), tf.keras.layers.Activation("sigmoid")])
    callback = unet_callbacks.SegmentationImages(tmp_path, images, tf.ones([2, 8, 8, 1], tf.uint8))
    callback.set_model(model)
    callback.on_epoch_end(3)
    callback._writer.close()
    (path,) = tmp_path.glob("events.out.tfevents.*")
    values = [(e.step, v) for e in tf.compat.v1.train.summary_iterator(str(path)) for v in e.summary.value]
    ((step, value),) = values
    assert (step, value.tag) == (3, "image_truth_prediction")
    width, height, first, _ = tf.make_ndarray(value.tensor)
    assert (int(width), int(height)) == (24, 8)
    shown = tf.io.decode_png(first).numpy()[..., 0] / 255
    grey = (images[0] - tf.reduce_min(images[0])) / (tf.reduce_max(images[0]) - tf.reduce_min(images[0]))
    np.testing.assert_allclose(shown[:, :8], grey[..., 0], atol=1 / 255)
    np.testing.assert_array_equal(shown[:, 8:16], 1.0)
    np.testing.assert_allclose(shown[:, 16:], tf.sigmoid(images[0])[..., 0], atol=1 / 255)
