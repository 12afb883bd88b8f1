"""A training loop traces its step for the first batch and never again."""

import numpy as np
import tensorflow as tf

from rembrandt_featgen.classification import classifiers
from rembrandt_featgen.nn import resumable_fit
from rembrandt_featgen.nn.checkpointing import Checkpointing


def test_training_does_not_trace_its_step_again_for_another_batch_or_epoch(tmp_path):
    model = classifiers.build_classifier(
        classifiers.Architecture("cnn", (4, 4, 2), filters=2, units=2), np.ones(2, np.float32)
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
    # Twice for the first batch: once to make the variables of optimizer and metrics, once to use them.
    assert model.train_function.experimental_get_tracing_count() == 2
    assert model.test_function.experimental_get_tracing_count() <= 2
