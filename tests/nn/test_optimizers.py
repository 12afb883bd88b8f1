import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.nn import mixed_precision, optimizers
from rembrandt_featgen.nn.checkpointing import Checkpointing


def rates(schedule, *steps):
    return [float(schedule(tf.constant(step, tf.int64))) for step in steps]


def test_schedules():
    assert rates(optimizers.schedule("constant", 0.1, 100), 0, 50, 200) == pytest.approx([0.1, 0.1, 0.1])
    cosine = optimizers.schedule("cosine", 0.1, 100)
    wanted = tf.keras.optimizers.schedules.CosineDecay(0.1, 100)
    assert rates(cosine, 0, 30, 100, 120) == rates(wanted, 0, 30, 100, 120)  # to the last bit
    warm = optimizers.schedule("cosine", 0.1, 100, warmup_steps=20)
    assert rates(warm, 0, 9, 19, 20, 60, 100) == pytest.approx([0.005, 0.05, 0.1, 0.1, 0.05, 0.0], abs=1e-7)


def test_restarted_schedule_goes_on_where_it_was_and_slower():
    schedule = optimizers.schedule("cosine", 0.1, 100)
    rate = tf.function(lambda step: schedule(step))  # the change must reach a graph that is there already
    before = float(rate(tf.constant(70, tf.int64)))
    schedule.restart(0.5, 60)
    assert float(rate(tf.constant(10, tf.int64))) == pytest.approx(before / 2)


def model_of(kind, precision="float32"):
    tf.keras.utils.set_random_seed(0)
    layers = [tf.keras.layers.Dense(4, "tanh"), tf.keras.layers.LayerNormalization(), tf.keras.layers.Dense(1)]
    model = tf.keras.Sequential([tf.keras.Input((3,)), *layers])
    rate = optimizers.schedule("cosine", 0.05, 20, warmup_steps=2)
    adam = mixed_precision.adam
    made = optimizers.adamw(rate, model.trainable_variables, weight_decay=0.1) if kind == "adamw" else adam(rate)
    model.compile(mixed_precision.scaled(made, precision), "mse")
    return model


SAMPLES = tf.data.Dataset.from_tensors((tf.random.stateless_normal([8, 3], [1, 2]), tf.ones([8, 1]))).repeat(4)


def memory(model):
    inner = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    return [np.array(variable) for variable in inner.variables()]


def test_adamw_lets_kernels_alone_decay():
    model = model_of("adamw")
    model.set_weights([np.ones_like(values) for values in model.get_weights()])
    still = [tf.zeros_like(variable) for variable in model.trainable_variables]
    model.optimizer.apply_gradients(zip(still, model.trainable_variables))
    for variable in model.trainable_variables:
        assert float(tf.reduce_min(variable)) == pytest.approx(1.0 if variable.shape.rank == 1 else 1 - 0.025 * 0.1)


def test_adamw_is_not_thrown_by_one_large_gradient():
    model, usual = model_of("adamw"), None
    for size in (1.0, 1e6):
        given = [tf.fill(variable.shape, size) for variable in model.trainable_variables]
        model.optimizer.apply_gradients(zip(given, model.trainable_variables))
        slot = model.optimizer.variables()[1]  # mean of gradients, which are of norm 1 at most
        usual = float(tf.reduce_max(tf.abs(slot))) if usual is None else usual
    assert float(tf.reduce_max(tf.abs(slot))) < 3 * usual


@pytest.mark.parametrize("kind", ["adam", "adamw"])
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_forgotten_is_as_new(kind, precision):
    model, new = model_of(kind, precision), model_of(kind, precision)
    start = model.get_weights()
    model.fit(SAMPLES, verbose=0)
    assert any(values.any() for values in memory(model))
    model.set_weights(start)
    optimizers.forget(model.optimizer, model.trainable_variables)
    assert not any(values.any() for values in memory(model))
    model.fit(SAMPLES, verbose=0)
    new.fit(SAMPLES, verbose=0)
    for one, other in zip(model.get_weights(), new.get_weights()):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("kind", ["adam", "adamw"])
def test_memory_of_a_checkpoint_is_forgotten_too(tmp_path, kind):
    first = model_of(kind)
    first.fit(SAMPLES, verbose=0, callbacks=[Checkpointing(tmp_path, first, monitor=None)])
    resumed = model_of(kind)
    Checkpointing(tmp_path, resumed, monitor=None)
    optimizers.forget(resumed.optimizer, resumed.trainable_variables)
    frozen = [tf.zeros_like(variable) for variable in resumed.trainable_variables]
    resumed.optimizer.apply_gradients(zip(frozen, resumed.trainable_variables))
    assert int(resumed.optimizer.iterations) == 1
    assert not any(values.any() for values in memory(resumed) if values.shape)


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_adamw_remembers_across_a_resume(tmp_path, precision):
    unbroken = model_of("adamw", precision)
    unbroken.fit(SAMPLES.repeat(2), verbose=0)
    first = model_of("adamw", precision)
    first.fit(SAMPLES, verbose=0, callbacks=[Checkpointing(tmp_path, first, monitor=None)])
    resumed = model_of("adamw", precision)
    Checkpointing(tmp_path, resumed, monitor=None)
    resumed.fit(SAMPLES, verbose=0)
    for one, other in zip(resumed.get_weights(), unbroken.get_weights()):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(InputError, match="another optimizer"):
        Checkpointing(tmp_path, model_of("adam"), monitor=None)


@pytest.mark.parametrize("kind", ["adam", "adamw"])
def test_a_step_whose_variables_are_there_is_traced_once_and_as_before(kind):
    def trained(ready):
        tf.keras.utils.set_random_seed(3)
        model = tf.keras.Sequential([tf.keras.layers.Dropout(0.5), tf.keras.layers.Dense(1, "sigmoid")])
        model.build((None, 4))
        rate = optimizers.schedule("cosine", 0.1, 6)
        adamw = optimizers.adamw(rate, model.trainable_variables, weight_decay=0.1)
        model.compile(adamw if kind == "adamw" else mixed_precision.adam(rate), "binary_crossentropy", ["accuracy"])
        if ready:
            optimizers.make_variables(model, tf.zeros([1], tf.int64), tf.zeros([1, 1]))
        traces, step = [], model.train_step
        model.train_step = lambda data: traces.append(1) or step(data)
        history = model.fit(np.eye(4), np.arange(4) % 2, batch_size=2, epochs=3, shuffle=False, verbose=0).history
        return len(traces), history, model.get_weights()

    (once, found, weights), (twice, wanted, others) = trained(True), trained(False)
    assert (once, twice) == (1, 2)
    assert found == wanted
    for one, other in zip(weights, others):
        np.testing.assert_array_equal(one, other)
