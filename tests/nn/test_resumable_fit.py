"""A training loop traces its step for the first batch and never again."""

import numpy as np
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rembrandt_featgen.classification import map_networks
from rembrandt_featgen.nn import resumable_fit
from rembrandt_featgen.nn.checkpointing import Checkpointing


def test_an_epoch_is_on_its_curves_before_it_is_saved_and_no_more_step_is_traced(tmp_path, monkeypatch):
    """A kill right after it was saved loses no point; and a step is traced for the first batch alone."""
    on_disk, save = [], Checkpointing._save

    def saved(checkpointing):
        save(checkpointing)
        folder = EventAccumulator(str(tmp_path / "logs" / "validation"), purge_orphaned_data=False).Reload()
        on_disk.append([event.step for event in folder.Tensors("epoch_loss")])

    monkeypatch.setattr(Checkpointing, "_save", saved)
    model = map_networks.build_classifier(
        map_networks.Architecture("cnn", (4, 4, 2), filters=2, units=2), np.ones(2, np.float32)
    )
    model.compile(tf.keras.optimizers.Adam(1e-3), "binary_crossentropy", ["accuracy"])
    samples = np.ones((5, 4, 4, 2), np.float32), np.array([0, 1, 0, 1, 1], np.int32)
    batches = tf.data.Dataset.from_tensor_slices(samples).batch(2)  # of 2, 2 and 1
    checkpointing = Checkpointing(tmp_path, model, monitor=None)
    tf.keras.utils.set_random_seed(0)
    resumable_fit.fit(
        model,
        make_epoch=lambda key: batches,
        steps=3,
        epochs=3,
        validation=batches,
        checkpointing=checkpointing,
        logs=tmp_path / "logs",
        title="test",
        seed=0,
    )
    assert checkpointing.epochs_done == 3
    assert on_disk == [[0], [0, 1], [0, 1, 2]]
    # Twice for the first batch: once to make the variables of optimizer and metrics, once to use them.
    assert model.train_function.experimental_get_tracing_count() == 2
    assert model.test_function.experimental_get_tracing_count() <= 2


def test_first_epochs_of_another_shape_are_traced_for_it_and_resumed(tmp_path):
    shapes = []

    def made(size):
        return lambda key: tf.data.Dataset.from_tensors((tf.ones([2, size, size, 1]), tf.ones([2, 1]))).repeat(2)

    class Seen(tf.keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = tf.keras.layers.Dense(1)

        def call(self, images):
            shapes.append(images.shape[1])
            return self.dense(tf.reduce_mean(images, (1, 2)))

    def trained(epochs):
        model = Seen()
        model.build((None, None, None, 1))
        model.compile(tf.keras.optimizers.legacy.SGD(0.1), "mse")
        shapes.clear()
        found = resumable_fit.fit(
            model,
            make_epoch=made(4),
            steps=2,
            epochs=epochs,
            validation=None,
            checkpointing=Checkpointing(tmp_path, model, monitor=None),
            logs=tmp_path / "logs",
            title="test",
            seed=0,
            first_epochs=(2, made(2)),
        )
        return found["history"]["loss"], sorted(set(shapes))

    assert trained(1)[1] == [2]
    losses, seen = trained(4)
    assert seen == [2, 4] and len(losses) == 4
    assert trained(5)[1] == [4]
