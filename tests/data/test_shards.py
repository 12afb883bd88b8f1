import json

import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.data import shards
from rembrandt_featgen.errors import InputError

TENSORS = {"image": ((2, 3, 1), "float32"), "mask": ((2, 3), "uint8")}
COUNT, PER_SHARD = 45, 8  # six shards, the last of five records


def image(i):
    return np.random.default_rng(i).normal(size=(2, 3, 1)).astype(np.float32)


@pytest.fixture(autouse=True)
def seeded():
    tf.random.set_seed(1)  # beside 0, tf.data refuses seeds that are computed on the graph


@pytest.fixture
def folder(tmp_path):
    """Records 0 to 44; record i is slice i of patient i // 3, which is HGG when odd."""
    with shards.ShardWriter(tmp_path, "train", TENSORS, PER_SHARD) as writer:
        for i in range(COUNT):
            arrays = {"image": image(i), "mask": np.full((2, 3), i % 2)}
            writer.write(arrays, f"patient {i // 3}", i, i // 3 % 2)
    return tmp_path


def order(dataset):
    return [int(record["slice"]) for record in dataset]


def test_records_come_back_exactly_and_in_the_order_of_writing(folder):
    records = list(shards.read(folder, "train").as_numpy_iterator())
    assert len(records) == COUNT
    for i, record in enumerate(records):
        assert set(record) == {"image", "mask", "patient", "slice", "label"}
        np.testing.assert_array_equal(record["image"], image(i), strict=True)
        np.testing.assert_array_equal(record["mask"], np.full((2, 3), i % 2, np.uint8), strict=True)
        assert record["patient"].decode() == f"patient {i // 3}"
        assert record["slice"] == i
        assert record["label"] == i // 3 % 2


def test_element_types_and_shapes_are_static(folder):
    assert shards.read(folder, "train", 1, label=1).element_spec == {
        "image": tf.TensorSpec((2, 3, 1), tf.float32),
        "mask": tf.TensorSpec((2, 3), tf.uint8),
        "patient": tf.TensorSpec((), tf.string),
        "slice": tf.TensorSpec((), tf.int64),
        "label": tf.TensorSpec((), tf.int32),
    }


@pytest.mark.parametrize(
    ("dtype", "array"),
    [
        ("float32", np.array([np.nan, np.inf, -0.0, 1e-45], np.float32)),
        ("float16", np.array([1 / 3, -65504, 0, 6e-8], np.float16)),
        ("uint8", np.array([0, 1, 254, 255], np.uint8)),
        ("int64", np.array([-(2**63), 2**63 - 1, 0, 1])),
        ("float32", np.arange(8, dtype=np.float32)[::2]),  # not contiguous
        ("uint8", np.array([True, False, True, True])),  # of another type than declared
    ],
)
def test_each_type_is_kept_bit_by_bit(dtype, array, tmp_path):
    with shards.ShardWriter(tmp_path, "test", {"x": ((4,), dtype)}) as writer:
        writer.write({"x": array}, "ä", 0, 0)
    (record,) = shards.read(tmp_path, "test").as_numpy_iterator()
    assert record["x"].tobytes() == array.astype(dtype).tobytes()
    assert record["x"].dtype == dtype
    assert record["patient"].decode() == "ä"


def test_index_says_what_was_written(folder):
    index = shards.read_index(folder, "train")
    assert len(index) == COUNT
    assert index.tensors == TENSORS
    assert [(name, records) for name, _, records in index.files] == [
        *((f"train-0000{i}.tfrecord", 8) for i in range(5)),
        ("train-00005.tfrecord", 5),
    ]
    assert [size for _, size, _ in index.files] == [(folder / name).stat().st_size for name, _, _ in index.files]
    assert index.patients == [f"patient {i // 3}" for i in range(COUNT)]
    assert index.labels == [i // 3 % 2 for i in range(COUNT)]


@pytest.mark.parametrize("seed", [0, 7, tf.constant(7, tf.int64)])
def test_shuffled_epoch_has_every_record_once(folder, seed):
    found = order(shards.read(folder, "train", seed))
    assert sorted(found) == list(range(COUNT))
    assert found != list(range(COUNT))
    neighbours = np.mean(np.abs(np.diff(found)) == 1)
    assert neighbours < 0.3  # slices of a patient lie apart


def test_shards_are_shuffled_too(tmp_path, monkeypatch):
    """Where the window is smaller than the split, what comes first must not be what was written first."""
    monkeypatch.setattr(shards, "_WINDOW_BYTES", 1)  # 16 records
    with shards.ShardWriter(tmp_path, "train", {"x": ((1,), "uint8")}, per_shard=1) as writer:
        for i in range(100):
            writer.write({"x": np.zeros(1)}, "A", i, 0)
    found = order(shards.read(tmp_path, "train", 7))
    assert sorted(found) == list(range(100))
    assert min(found[-30:]) < 30 < 70 < max(found[:30])


def test_order_is_a_function_of_the_seed(folder):
    first, again, other = (order(shards.read(folder, "train", seed)) for seed in (7, 7, 8))
    assert first == again
    assert first != other


@pytest.mark.parametrize("seed", [None, 7])
@pytest.mark.parametrize("label", [0, 1])
def test_label_filter(folder, label, seed):
    found = order(shards.read(folder, "train", seed, label))
    assert sorted(found) == [i for i in range(COUNT) if i // 3 % 2 == label]
    assert (found == sorted(found)) == (seed is None)


def test_label_that_no_record_has(folder):
    assert order(shards.read(folder, "train", 1, label=2)) == []


def test_within_a_tf_function(folder):
    @tf.function
    def sums(seed):
        def add(total, record):
            return total + tf.reduce_sum(record["image"]) * tf.cast(record["slice"], tf.float32)

        return tf.stack([shards.read(folder, "train", given).reduce(tf.constant(0.0), add) for given in (None, seed)])

    wanted = sum(image(i).sum() * i for i in range(COUNT))
    np.testing.assert_allclose(sums(tf.constant(3, tf.int64)), [wanted, wanted], rtol=1e-4)


def test_within_a_dataset_whose_elements_are_seeds(folder):
    chained = tf.data.Dataset.range(5, 7).flat_map(lambda seed: shards.read(folder, "train", seed))
    found = order(chained)
    assert found[:COUNT] == order(shards.read(folder, "train", tf.constant(5, tf.int64)))
    assert sorted(found[COUNT:]) == list(range(COUNT))
    assert found[COUNT:] != found[:COUNT]


@pytest.mark.parametrize("shape", [(2, 3), (3, 2, 1), (2, 3, 2)])
def test_wrong_shape_is_quoted(shape, tmp_path):
    with (
        pytest.raises(ValueError, match=r"image must be \(2, 3, 1\), received \(.*\) \(patient A, slice 4\)"),
        shards.ShardWriter(tmp_path, "train", TENSORS) as writer,
    ):
        writer.write({"image": np.zeros(shape), "mask": np.zeros((2, 3))}, "A", 4, 0)


def test_writing_that_fails_leaves_no_index(tmp_path):
    with pytest.raises(ZeroDivisionError), shards.ShardWriter(tmp_path, "train", {"x": ((1,), "float32")}) as writer:
        writer.write({"x": np.ones(1)}, "A", 0, 0)
        raise ZeroDivisionError
    assert not (tmp_path / "train.json").exists()
    with pytest.raises(InputError, match=r"train\.json is missing or damaged; delete"):
        shards.read(tmp_path, "train")


def test_written_again_it_is_as_if_for_the_first_time(folder):
    with shards.ShardWriter(folder, "train", {"x": ((1,), "float32")}) as writer:
        writer.write({"x": np.ones(1)}, "A", 9, 0)
    assert order(shards.read(folder, "train", 3)) == [9]


@pytest.mark.parametrize("text", ["", "not JSON", None, "cut"])
def test_damaged_index(folder, text):
    path = folder / "train.json"
    if text is None:
        path.unlink()
    else:
        path.write_text(path.read_text()[:-5] if text == "cut" else text)
    with pytest.raises(InputError) as caught:
        shards.read(folder, "train")
    assert str(caught.value) == f"{path} is missing or damaged; delete {folder} so that its stage is done again"


@pytest.mark.parametrize("damage", ["truncated", "longer", "missing"])
@pytest.mark.parametrize("function", [shards.read, shards.read_index])
def test_damaged_shard(folder, damage, function):
    path = folder / "train-00003.tfrecord"
    content = path.read_bytes()
    changed = {"truncated": content[:-1], "longer": content + b"0", "missing": b""}[damage]
    path.write_bytes(changed)
    if damage == "missing":
        path.unlink()
    with pytest.raises(InputError) as caught:
        function(folder, "train")
    assert str(caught.value) == (
        f"{path} has {len(changed)} bytes, not {len(content)}; delete {folder} so that its stage is done again"
    )


def test_flipped_bits_do_not_pass_the_checksum(folder):
    path = folder / "train-00003.tfrecord"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    with pytest.raises(tf.errors.DataLossError):
        order(shards.read(folder, "train"))


def test_index_is_plain_json(folder):
    assert set(json.loads((folder / "train.json").read_text())) == {"tensors", "files", "patients", "labels"}
