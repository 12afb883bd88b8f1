from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.nn import weights


def network(units=3, layers=6, seed=0):
    """Twelve arrays by default, so that an order by name (arr_10 before arr_2) would show, and two of batch norm."""
    stack = [
        tf.keras.layers.Dense(units, bias_initializer=tf.keras.initializers.RandomNormal(seed=seed + i))
        for i in range(layers)
    ]
    model = tf.keras.Sequential([tf.keras.Input((units,)), *stack, tf.keras.layers.BatchNormalization()])
    generator = np.random.default_rng(seed)
    model.set_weights([generator.normal(size=array.shape) for array in model.get_weights()])
    return model


def test_every_array_comes_back_exactly(tmp_path):
    model, other = network(), network(seed=1)
    weights.save(model.get_weights(), tmp_path / "best.npz")
    weights.load(other, tmp_path / "best.npz")
    assert len(model.get_weights()) == 16
    for found, wanted in zip(other.get_weights(), model.get_weights()):
        np.testing.assert_array_equal(found, wanted, strict=True)
    assert [path.name for path in tmp_path.iterdir()] == ["best.npz"]


def test_numpy_reads_them_without_pickle(tmp_path):
    model = network()
    weights.save(model.get_weights(), tmp_path / "best.npz")
    with np.load(tmp_path / "best.npz", allow_pickle=False) as arrays:
        for array, wanted in zip((arrays[f"arr_{i}"] for i in range(16)), model.get_weights()):
            np.testing.assert_array_equal(array, wanted)


def pickled(path):
    np.savez(path, params=np.array([np.zeros(2), np.zeros(3)], dtype=object))


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-300]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"no zip file"),
        lambda path: path.unlink(),
        lambda path: weights.save(network(units=4).get_weights(), path),
        lambda path: weights.save(network(layers=5).get_weights(), path),
        pickled,
    ],
    ids=["truncated", "empty", "no npz", "missing", "of other shapes", "of fewer layers", "pickled"],
)
def test_unfit_file_says_the_fix_and_changes_nothing(damage, tmp_path):
    path, model = tmp_path / "unet" / "best.npz", network(seed=1)
    path.parent.mkdir()
    weights.save(network().get_weights(), path)
    damage(path)
    before = model.get_weights()
    with pytest.raises(InputError) as caught:
        weights.load(model, path)
    assert str(caught.value).startswith(f"{path} does not hold this network's weights (")
    assert str(caught.value).endswith(f"; delete {path.parent} to redo it")
    assert "\n" not in str(caught.value)
    for found, wanted in zip(model.get_weights(), before):
        np.testing.assert_array_equal(found, wanted)


def test_kill_while_saving_keeps_the_old_file(tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    def die(*arguments):
        raise Killed

    path, model = tmp_path / "best.npz", network()
    weights.save(model.get_weights(), path)
    wanted = path.read_bytes()
    for place, name in ((np, "savez"), (Path, "replace")):
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(place, name, die)
            weights.save(network(seed=1).get_weights(), path)
        assert path.read_bytes() == wanted
