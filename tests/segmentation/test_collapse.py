import logging

import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.nn import mixed_precision, optimizers
from rembrandt_featgen.nn.checkpointing import Checkpointing
from rembrandt_featgen.segmentation import class_aware, collapse, losses, unet, unet_callbacks

TRUTH, EVEN = tf.ones([1, 4]), tf.fill([1, 4], 0.5)


class Training:
    """One weight, trained without data: epochs of 30 steps, each of whose ends is what `epoch` is told."""

    def __init__(self, folder, *, epochs=100, warmup_steps=0, throughout=False):
        folder.mkdir(exist_ok=True)
        self.model = tf.keras.Sequential([tf.keras.Input((1,)), tf.keras.layers.Dense(1, use_bias=False)])
        self.rate = optimizers.schedule("constant", 0.4, 30 * epochs)
        self.model.compile(mixed_precision.adam(self.rate), "mse")
        optimizers.forget(self.model.optimizer, self.model.trainable_variables)  # makes its memory, as a step would
        self.help = unet_callbacks.CrossEntropyHelp(
            lambda truth, probability: tf.zeros([]), warmup_steps, throughout=throughout
        )
        self.checkpointing = Checkpointing(
            folder, self.model, monitor="val_iou", barred=collapse.COLLAPSED, restarts=("collapses", 3)
        )
        self.callback = collapse.Collapse(
            self.checkpointing,
            steps=30,
            epochs=epochs,
            rate=self.rate,
            help=self.help,
            initial_weights=lambda number: [np.array([[-float(number)]])],
        )
        for each in (self.callback, self.checkpointing):
            each.set_model(self.model)
        self.callback.on_train_begin()

    def epoch(self, weight, found, of_validation=None, iou=0.5):
        """Trains to `weight`; returns the weight that the epoch began with."""
        number = self.checkpointing.epochs_done
        self.callback.on_epoch_begin(number)
        began = self.model.get_weights()[0].item()
        self.model.optimizer.iterations.assign_add(30)
        self.model.set_weights([np.array([[float(weight)]])])
        logs = {"tumour_found": found, "val_tumour_found": found if of_validation is None else of_validation}
        logs["val_iou"] = iou
        self.callback.on_epoch_end(number, logs)
        self.checkpointing.on_epoch_end(number, logs)
        return began

    @property
    def state(self):
        """Learning rate, weight of cross-entropy, and the optimizer's steps."""
        rate = float(self.rate(self.model.optimizer.iterations))
        entropy = float(self.help.loss(TRUTH, EVEN)) / np.log(2.0)
        return pytest.approx([rate, entropy, int(self.model.optimizer.iterations)], rel=1e-5)


def test_weights_of_the_best_epoch_come_back(tmp_path, caplog):
    training = Training(tmp_path)
    for weight, found, iou in ((1, 0.3, 0.2), (2, 0.6, 0.4), (3, 0.5, 0.3)):
        training.epoch(weight, found, iou=iou)
    assert training.state == [0.4, 0.0, 90]
    with caplog.at_level(logging.WARNING, logger="absl"):
        training.epoch(4, 0.004, iou=0.7)
    assert (
        "epoch 4: collapsed, 0.40% of the tumour's pixels are found; goes on from the weights of epoch 2, at 0.5"
        in (caplog.text)
    )
    assert training.checkpointing.best_epoch == 1  # though a slice without tumour counts 1
    assert training.epoch(5, 0.5, iou=0.1) == 2
    assert training.state == [0.2, 1.0, 30]
    assert collapse.records(training.checkpointing) == [
        {"epoch": 4, "back_to_epoch": 2, "tumour_found": 0.004, "val_tumour_found": 0.004}
    ]


def test_new_initial_weights_where_no_epoch_found_tumour(tmp_path, caplog):
    training = Training(tmp_path, epochs=12)
    with caplog.at_level(logging.WARNING, logger="absl"):
        for weight in (1, 2, 3):
            training.epoch(weight, 0.0)
    assert "epoch 3: collapsed" in caplog.text and "from new initial weights" in caplog.text
    assert training.epoch(4, 0.9) == -1
    assert (training.checkpointing.best_epoch, training.checkpointing.read_best()) == (3, [[[4.0]]])
    assert collapse.records(training.checkpointing)[0]["back_to_epoch"] is None


@pytest.mark.parametrize(
    ("settings", "ends", "at"),
    [
        ({}, [(0.0, 0.0)], []),  # too early
        ({}, [(0.5, 0.5), (0.0, 0.0)], [1]),  # 60 steps, and it could do better
        ({}, [(0.05, 0.05)] * 3 + [(0.0, 0.0)] * 22, [24]),  # it never did: a quarter of all steps
        ({"epochs": 4}, [(0.0, 0.0)] * 2, [1]),
        ({"epochs": 4, "warmup_steps": 100}, [(0.0, 0.0)] * 4, [3]),  # not while cross-entropy helps
        ({"epochs": 4, "throughout": True}, [(0.0, 0.0)] * 9, []),  # it may be slow
        ({"epochs": 4, "throughout": True}, [(0.0, 0.0)] * 10, [9]),
        ({"throughout": True}, [(0.5, 0.5), (0.0, 0.0)], [1]),
        ({}, [(0.5, 0.5), (0.3, 0.0), (0.6, 0.0)], []),  # other patients: not a collapse, but never the best
        ({}, [(0.5, 0.5), (0.0, 0.4), (0.005, 0.02)], []),  # it has come back by itself
        ({}, [(0.5, 0.5), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0)], [1, 3]),  # again, of weights that could do better
        ({"epochs": 4}, [(0.0, 0.0)] * 11, [1]),  # of new ones, which cross-entropy helps
        ({"epochs": 4}, [(0.0, 0.0)] * 12, [1, 11]),
    ],
)
def test_what_is_a_collapse(tmp_path, settings, ends, at):
    training = Training(tmp_path, **settings)
    for number, (found, of_validation) in enumerate(ends):
        training.epoch(number, found, of_validation)
    assert collapse.collapsed_epochs(training.checkpointing.history) == at
    assert training.checkpointing.history["collapsed"] == [float(of < 0.01) for _, of in ends]


def test_validation_without_tumour_leaves_it_to_training(tmp_path):
    training = Training(tmp_path)
    logs = {"tumour_found": 0.0, "val_iou": 1.0}
    training.callback.on_epoch_end(0, logs)
    assert (logs["collapsed"], logs["collapses"]) == (1.0, 0.0)


def test_third_collapse_of_what_never_found_anything_is_an_error(tmp_path, caplog):
    training = Training(tmp_path, epochs=4)
    for _ in range(21):  # after the first one cross-entropy has 10 epochs to help
        training.epoch(2, 0.0)
    assert len(collapse.records(training.checkpointing)) == 2
    with caplog.at_level(logging.WARNING, logger="absl"):
        collapse.warn_of_nothing_found(training.checkpointing)
    assert "no epoch found 1% of the validation tumour or more; take --unet_loss=dice_ce" in caplog.text
    with pytest.raises(InputError, match=r"epoch 22: collapsed, .*3rd time.*--unet_loss=dice_ce"):
        training.epoch(2, 0.0)


def test_third_collapse_keeps_the_best_epoch_and_stops(tmp_path, caplog):
    training = Training(tmp_path)
    for iou in (0.6, 0.7, 0.5):
        assert not training.checkpointing.finished
        training.epoch(iou, 0.5, iou=iou)
        training.epoch(2, 0.0, iou=0.9)
        with caplog.at_level(logging.WARNING, logger="absl"):
            training.epoch(2, 0.0, iou=0.9)
    assert "for the 3rd time: training falls back to predicting no tumour and stops, with the weights of epoch" in (
        caplog.text
    )
    for checkpointing in (training.checkpointing, Training(tmp_path).checkpointing):
        assert checkpointing.finished
        assert checkpointing.best_epoch == 3
        assert checkpointing.read_best()[0].item() == pytest.approx(0.7)
    caplog.clear()
    collapse.warn_of_nothing_found(training.checkpointing)
    assert not caplog.text


def test_head_of_classes_begins_again_with_the_network(tmp_path):
    tf.keras.utils.set_random_seed(0)
    network = class_aware.ClassAware(unet.build_unet(1, 1), weight=0.3, class_weights=[1.0, 1.0], seed=3)
    rate = optimizers.schedule("constant", 0.4, 100)
    network.compile(mixed_precision.adam(rate), "mse")
    start, initial = (
        [weight.numpy() for weight in network.unet.weights],
        [weight.numpy() for layer in (network.head, network.norm) for weight in layer.weights],
    )
    checkpointing = Checkpointing(tmp_path, network, monitor="val_iou", barred=collapse.COLLAPSED)
    checkpointing.history |= {"val_iou": [0.0], "collapsed": [1.0], "collapses": [1.0]}
    help = unet_callbacks.CrossEntropyHelp(losses.soft_dice_loss)
    callback = collapse.Collapse(
        checkpointing, steps=30, epochs=9, rate=rate, help=help, initial_weights=lambda number: start
    )
    callback.set_model(network)
    for layer in (network.head, network.norm):
        layer.set_weights([weight + 1.0 for weight in layer.get_weights()])
    callback.on_epoch_begin(1)
    found = [weight.numpy() for layer in (network.head, network.norm) for weight in layer.weights]
    for one, other in zip(found, initial):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("killed_after", [3, 4, 5])
def test_killed_and_resumed_is_as_unbroken(tmp_path, killed_after):
    ends = [(1, 0.5), (2, 0.4), (3, 0.0), (4, 0.5), (5, 0.0), (6, 0.0), (7, 0.3)]
    unbroken, broken = Training(tmp_path / "unbroken"), Training(tmp_path / "broken")
    wanted = [unbroken.epoch(*end) for end in ends]
    found = [broken.epoch(*end) for end in ends[:killed_after]]
    resumed = Training(tmp_path / "broken")
    found += [resumed.epoch(*end) for end in ends[killed_after:]]
    assert found[1:] == wanted[1:]  # at first weights are random
    assert resumed.state == unbroken.state.expected
    assert resumed.checkpointing.history == unbroken.checkpointing.history


def test_a_collapse_happens_and_training_comes_back(tmp_path):
    """Mean dice of slices that are mostly empty, at a rate that throws the network into predicting nothing."""
    generator = np.random.default_rng(0)
    images = generator.normal(size=(40, 8, 8, 1)).astype(np.float32)
    masks = ((images > 0.8) & (np.arange(40) % 5 == 0)[:, None, None, None]).astype(np.uint8)
    images[np.arange(40) % 5 == 0] += 2.0
    tf.keras.utils.set_random_seed(0)
    kernel = {"kernel_initializer": "he_normal", "padding": "same"}
    layers = [tf.keras.layers.Conv2D(8, 3, activation="relu", **kernel) for _ in range(2)]
    head = tf.keras.layers.Conv2D(1, 1, activation="sigmoid")
    model = tf.keras.Sequential([tf.keras.Input((8, 8, 1)), *layers, head])
    initial, epochs, steps = model.get_weights(), 24, 20
    rate = optimizers.schedule("constant", 0.01, epochs * steps)
    help = unet_callbacks.CrossEntropyHelp(losses.soft_dice_loss)
    model.compile(mixed_precision.adam(rate), help.loss, [losses.iou, losses.TumourFound()])
    head.set_weights([head.get_weights()[0] * 0, np.array([-20.0])])  # where dice alone has no gradient
    checkpointing = Checkpointing(tmp_path, model, monitor="iou", barred=collapse.COLLAPSED)
    recovery = collapse.Collapse(
        checkpointing, steps=steps, epochs=epochs, rate=rate, help=help, initial_weights=lambda number: initial
    )
    data = tf.data.Dataset.from_tensor_slices((images, masks)).repeat().batch(20)
    model.fit(data, epochs=epochs, steps_per_epoch=steps, callbacks=[help, recovery, checkpointing], verbose=0)
    history = checkpointing.history
    assert collapse.collapsed_epochs(history) == [5]  # a quarter of all steps
    assert history["tumour_found"][:6] == [0.0] * 6 and history["iou"][0] == pytest.approx(0.8)
    assert history["tumour_found"][-1] > 0.5
    assert history["tumour_found"][checkpointing.best_epoch] > 0.5
