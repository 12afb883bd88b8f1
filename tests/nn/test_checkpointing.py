import ctypes
import ctypes.util
import gc
import json
import sys

import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.core import json_files, system_errors
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.nn import checkpointing, mixed_precision, resumable_fit, weights
from rembrandt_featgen.nn.checkpointing import Checkpointing

STEPS = 3  # batches of an epoch


class Killed(BaseException):
    """Stands for SIGKILL."""


def one_weight(value=0.0):
    """A model of the one weight `value`."""
    model = tf.keras.Sequential([tf.keras.Input((1,)), tf.keras.layers.Dense(1, use_bias=False)])
    model.set_weights([np.array([[value]])])
    model.compile("sgd", "mse")
    return model


def log(folder, values, monitor="val_iou", mode="max", patience=0):
    """Lets a callback see epochs whose monitored log is `values` and whose weight is the epoch's index."""
    model = one_weight()
    callback = Checkpointing(folder, model, monitor=monitor, mode=mode, patience=patience)
    callback.set_model(model)
    stopped = []
    for epoch, value in enumerate(values, callback.epochs_done):
        model.set_weights([np.array([[float(epoch)]])])
        callback.on_epoch_end(epoch, {"loss": 0.5, "val_iou": value})
        stopped.append(model.stop_training)
    return callback, stopped


def best_weight(callback):
    model = one_weight(-1.0)
    weights.load(model, callback.best_weights)
    return model.get_weights()[0].item()


def test_resumes_in_a_folder_whose_name_is_a_pattern_for_tensorflow(tmp_path):
    folder = tmp_path / "run [x] *?\\ü"
    folder.mkdir()
    log(folder, [0.1, 0.2])
    model = one_weight(-1.0)
    assert Checkpointing(folder, model, monitor="val_iou").epochs_done == 2
    assert model.get_weights()[0].item() == 1.0  # what the last epoch left


def test_what_the_system_refuses_tensorflow_is_one_line_too(tmp_path):
    with pytest.raises(tf.errors.OpError) as caught:
        tf.train.Checkpoint(model=one_weight()).write(str(tmp_path / ("long" * 75)))
    said = str(system_errors.readable(caught.value, {"run_dir": str(tmp_path)}))
    assert said.startswith(str(tmp_path / "long"))
    assert said.endswith(f": File name too long (--run_dir={tmp_path}); choose a shorter name")


@pytest.mark.parametrize(
    ("monitor", "mode", "values", "best"),
    [
        ("val_iou", "max", [0.1, 0.7, 0.3, 0.6], 1),
        ("val_iou", "min", [0.5, 0.7, 0.3, 0.6], 2),
        ("val_iou", "max", [0.4, 0.4, 0.4], 0),  # the first of equals
        ("val_iou", "min", [0.4, 0.4, 0.2, 0.2], 2),
        ("val_iou", "max", [-0.3, -0.1], 1),
        (None, "max", [0.9, 0.1, 0.2], 2),  # the last
    ],
)
def test_best_epoch_and_its_weights_are_kept(tmp_path, monitor, mode, values, best):
    callback, _ = log(tmp_path, values, monitor=monitor, mode=mode)
    assert callback.best_epoch == best
    assert best_weight(callback) == best
    assert json.loads((tmp_path / "history.json").read_text()) == {"loss": [0.5] * len(values), "val_iou": values}


@pytest.mark.parametrize(
    ("patience", "mode", "stopped"),
    [
        (0, "max", [False] * 6),
        (1, "max", [False, False, True, True, True, True]),
        (2, "max", [False, False, False, True, True, True]),
        (4, "max", [False] * 5 + [True]),
        (5, "max", [False] * 6),
        (2, "min", [False, False, True, False, False, True]),
    ],
)
def test_patience_counts_from_the_best_epoch(tmp_path, patience, mode, stopped):
    callback, found = log(tmp_path, [0.3, 0.5, 0.4, 0.2, 0.5, 0.5], mode=mode, patience=patience)
    assert found == stopped
    assert callback.finished == stopped[-1]


def test_barred_epoch_is_the_best_only_where_all_are(tmp_path):
    model = one_weight()
    callback = Checkpointing(tmp_path, model, monitor="val_iou", barred="collapsed")
    callback.set_model(model)
    best = []
    for epoch, (value, barred) in enumerate([(0.7, 1), (0.8, 1), (0.1, 0), (0.9, 1), (0.2, 0)]):
        model.set_weights([np.array([[float(epoch)]])])
        callback.on_epoch_end(epoch, {"val_iou": value, "collapsed": barred})
        best.append((callback.best_epoch, best_weight(callback), callback.read_best()[0].item()))
    assert best == [(epoch, epoch, epoch) for epoch in (0, 1, 2, 2, 4)]


def restarting(folder, epochs, *, patience=0):
    """Lets a callback see epochs of (monitor, barred, restarts), each after a resume; whether each was the last."""
    stopped = []
    for epoch, (value, barred, restarts) in enumerate(epochs):
        model = one_weight()
        callback = Checkpointing(
            folder, model, monitor="val_iou", patience=patience, barred="collapsed", restarts=("collapses", 3)
        )
        callback.set_model(model)
        callback.on_epoch_end(epoch, {"val_iou": value, "collapsed": barred, "collapses": restarts})
        assert callback.finished == model.stop_training
        stopped.append(callback.finished)
    return stopped


@pytest.mark.parametrize(
    ("epochs", "stopped"),
    [
        ([(1.0, 1, 0)] * 6, [False] * 6),  # none has found anything yet
        ([(1.0, 1, 0)] * 4 + [(0.5, 0, 0)] + [(0.9, 1, 0)] * 2, [False] * 6 + [True]),
        ([(0.5, 0, 0), (0.9, 1, 1), (0.2, 0, 1), (0.3, 0, 1)], [False] * 3 + [True]),  # two since the restart
        ([(0.5, 0, 0), (0.4, 0, 0)] + [(0.9, 1, 1)], [False, False, False]),
    ],
)
def test_patience_waits_for_an_epoch_that_counts_and_after_a_restart(tmp_path, epochs, stopped):
    assert restarting(tmp_path, epochs, patience=2) == stopped


def test_too_many_restarts_end_training(tmp_path):
    epochs = [(0.5, 0, 0), (0.9, 1, 1), (0.9, 1, 2), (0.9, 1, 3)]
    assert restarting(tmp_path, epochs) == [False, False, False, True]
    callback = Checkpointing(tmp_path, one_weight(), monitor="val_iou", barred="collapsed", restarts=("collapses", 3))
    assert (callback.finished, callback.best_epoch) == (True, 0)


def test_patience_and_best_epoch_continue_after_a_resume(tmp_path):
    log(tmp_path, [0.3, 0.5], patience=3)
    callback, stopped = log(tmp_path, [0.4, 0.2, 0.5], patience=3)
    assert callback.best_epoch == 1
    assert stopped == [False, False, True]
    assert best_weight(callback) == 1.0


def test_only_the_last_checkpoint_is_kept(tmp_path):
    log(tmp_path, [0.1, 0.2, 0.3])
    assert {path.name.partition(".")[0] for path in (tmp_path / "checkpoints").iterdir()} == {"epoch-3"}


def test_short_epochs_are_saved_when_it_is_time(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(checkpointing.time, "monotonic", lambda: now[0])
    model = one_weight()
    callback = Checkpointing(tmp_path, model, monitor="val_iou", seconds=15.0)
    callback.set_model(model)
    for epoch, (second, value) in enumerate([(105, 0.5), (114, 0.9), (116, 0.2), (125, 0.3), (130, 0.1)]):
        now[0] = second
        model.set_weights([np.array([[float(epoch)]])])
        callback.on_epoch_end(epoch, {"val_iou": value})
        saved = Checkpointing(tmp_path, one_weight(), monitor="val_iou").epochs_done
        assert saved == (0 if second < 115 else 3)
    assert best_weight(callback) == 1.0  # of the best epoch, not of the one at which it was saved
    callback.on_train_end()
    resumed = one_weight()
    assert Checkpointing(tmp_path, resumed, monitor="val_iou").history == {"val_iou": [0.5, 0.9, 0.2, 0.3, 0.1]}
    assert resumed.get_weights()[0].item() == 4.0
    assert {path.name.partition(".")[0] for path in (tmp_path / "checkpoints").iterdir()} == {"epoch-5"}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, np.float32("nan")])
@pytest.mark.parametrize("name", ["loss", "d_loss", "val_iou"])
def test_number_that_is_not_finite_stops_training_and_is_named(tmp_path, name, value):
    model = one_weight()
    callback = Checkpointing(tmp_path, model, monitor="val_iou")
    callback.set_model(model)
    good = {"loss": 0.5, "d_loss": 0.5, "val_iou": 0.5}
    callback.on_epoch_end(0, good)
    with pytest.raises(InputError) as caught:
        callback.on_epoch_end(1, {**good, name: value})
    for word in ("epoch 2", f"{name} is {float(value)}", "learning rate", "--precision=float32", str(tmp_path)):
        assert word in str(caught.value)
    again = Checkpointing(tmp_path, model, monitor="val_iou")
    assert again.history == {key: [0.5] for key in good}  # what was before is kept, and nothing of this epoch


def regression(initial):
    """A small network that has a batch norm, and an optimizer with a memory."""
    # Of the data's order, too; beside 0, tf.data refuses seeds that are computed on the graph.
    tf.keras.utils.set_random_seed(1)
    kernel = tf.keras.initializers.GlorotUniform(initial)
    layers = [tf.keras.layers.Dense(4, "tanh", kernel_initializer=kernel), tf.keras.layers.BatchNormalization()]
    model = tf.keras.Sequential([tf.keras.Input((3,)), *layers, tf.keras.layers.Dense(1, kernel_initializer=kernel)])
    model.compile(mixed_precision.adam(tf.keras.optimizers.schedules.CosineDecay(0.05, 5 * STEPS)), "mse", ["mae"])
    return model


def samples():
    x = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    return tf.data.Dataset.from_tensor_slices((x, np.sin(x).sum(1, keepdims=True)))


def make_epoch(key):
    return samples().shuffle(12, seed=tf.reduce_sum(key)).batch(4)


def test_what_another_optimizer_remembered_is_refused(tmp_path):
    model = regression(0)
    model.compile(tf.keras.optimizers.Adam(), "mse")
    kept = Checkpointing(tmp_path, model, monitor=None)
    model.fit(samples().batch(4), epochs=1, verbose=0, callbacks=[kept])
    with pytest.raises(InputError, match=f"another optimizer; delete {tmp_path} to train again"):
        Checkpointing(tmp_path, regression(0), monitor=None)


class KillAt(tf.keras.callbacks.Callback):
    """Kills the training at the end of the second batch of an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self._epoch, self._now = epoch, None

    def on_epoch_begin(self, epoch, logs=None):
        self._now = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self._now, batch) == (self._epoch, 1):
            raise Killed


def train(folder, initial, epochs=5, extra=(), patience=0):
    """Trains in `folder` from wherever it was left; only a fresh start shows the seed of its initial weights."""
    folder.mkdir(exist_ok=True)
    model = regression(initial)
    checkpointing = Checkpointing(folder, model, monitor="val_loss", mode="min", patience=patience)
    result = resumable_fit.fit(
        model,
        make_epoch=make_epoch,
        steps=STEPS,
        epochs=epochs,
        validation=samples().batch(4),
        checkpointing=checkpointing,
        logs=folder / "logs",
        title="test",
        seed=0,
        extra=extra,
    )
    return model, result


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """(model, what was found, folder) of a training of five epochs at one go."""
    folder = tmp_path_factory.mktemp("unbroken")
    return (*train(folder, initial=1), folder)


def assert_same(found, model, unbroken):
    wanted_model, wanted, _ = unbroken
    assert found == wanted  # every number of the history, exactly
    for a, b in zip(model.get_weights(), wanted_model.get_weights()):
        np.testing.assert_array_equal(a, b)


def test_unbroken_training_learns_and_ends_with_its_best_weights(unbroken):
    model, found, folder = unbroken
    assert found["epochs"] == 5
    assert set(found["history"]) == {"loss", "mae", "val_loss", "val_mae"}
    assert found["history"] == json.loads((folder / "history.json").read_text())
    assert found["history"]["loss"][-1] < found["history"]["loss"][0]
    loss = model.evaluate(samples().batch(4), verbose=0)[0]
    assert loss == pytest.approx(min(found["history"]["val_loss"]), rel=1e-5)


@pytest.mark.parametrize("kills", [[0], [1, 3]])
def test_resumed_training_is_the_unbroken_one(tmp_path, unbroken, kills):
    for number, epoch in enumerate(kills):
        with pytest.raises(Killed):
            train(tmp_path / "run", initial=1 if number == 0 else 7, extra=[KillAt(epoch)])
    # other initial weights than at first: all must come from the checkpoint
    model, found = train(tmp_path / "run", initial=1 if kills == [0] else 8)
    assert_same(found, model, unbroken)


def test_kill_between_checkpoint_and_history_repeats_the_epoch(tmp_path, unbroken, monkeypatch):
    write = json_files.write_json

    def write_or_die(path, value):
        if len(value["loss"]) == 3:
            raise Killed
        write(path, value)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(json_files, "write_json", write_or_die)
        train(tmp_path / "run", initial=1)
    model, found = train(tmp_path / "run", initial=7)
    assert_same(found, model, unbroken)


def test_more_epochs_continue_where_fewer_ended(tmp_path, unbroken):
    train(tmp_path / "run", initial=1, epochs=2)
    model, found = train(tmp_path / "run", initial=7)
    assert_same(found, model, unbroken)


def test_finished_training_is_not_trained_again(tmp_path, unbroken):
    folder = tmp_path / "run"
    _, first = train(folder, initial=1)
    model, found = train(folder, initial=7, extra=[KillAt(epoch) for epoch in range(9)])
    assert found == first
    assert_same(found, model, unbroken)


def test_training_whose_patience_ran_out_is_not_trained_again(tmp_path):
    log(tmp_path, [0.5, 0.4, 0.3], patience=2)
    model = one_weight()
    checkpointing = Checkpointing(tmp_path, model, monitor="val_iou", patience=2)
    found = resumable_fit.fit(
        model,
        make_epoch=make_epoch,
        steps=STEPS,
        epochs=99,
        validation=None,
        checkpointing=checkpointing,
        logs=tmp_path,
        title="test",
        seed=0,
    )
    assert (found["epochs"], found["best_epoch"]) == (3, 0)
    assert model.get_weights()[0].item() == 0.0


def test_watching_writes_every_epochs_scalars(unbroken):
    _, found, folder = unbroken
    values = {"train": [], "validation": []}
    for part, seen in values.items():
        (path,) = (folder / "logs" / part).glob("events.out.tfevents.*")
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            seen += [float(tf.make_ndarray(v.tensor)) for v in event.summary.value if v.tag == "epoch_loss"]
    assert values["train"] == pytest.approx(found["history"]["loss"])
    assert values["validation"] == pytest.approx(found["history"]["val_loss"])


@pytest.mark.skipif(sys.platform != "linux", reason="mallinfo2 is of Linux' glibc")
def test_numbers_that_became_tensors_in_an_epoch_are_freed_at_its_end(tmp_path):
    class Heap(ctypes.Structure):
        _fields_ = [(name, ctypes.c_size_t) for name in ("a", "b", "c", "d", "mapped", "e", "f", "used", "g", "h")]

    libc = ctypes.CDLL(ctypes.util.find_library("c"))
    if not hasattr(libc, "mallinfo2"):
        pytest.skip("this C library has no mallinfo2")
    libc.mallinfo2.restype = Heap

    def used():
        heap = libc.mallinfo2()
        return heap.mapped + heap.used

    model = one_weight()
    callback = Checkpointing(tmp_path, model, monitor="val_iou", seconds=3600.0)
    callback.set_model(model)
    callback.on_epoch_end(0, {"val_iou": 0.1})
    gc.collect()  # what earlier tests left must not go while it is measured
    before = used()
    for number in range(20_000):
        tf.constant(number + 0.123)
    kept = used() - before
    callback.on_epoch_end(1, {"val_iou": 0.0})
    assert kept > 5_000_000 and used() - before < 0.2 * kept
