import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.core.errors import InputError, carried_by
from rembrandt_featgen.data.store import Store
from rembrandt_featgen.data.store_format import CODECS
from rembrandt_featgen.data.store_writer import Writer
from tests.data.stored import COUNT, PER_SHARD, TENSORS, files, filled, image, order, write

FIX = "so that its stage is done again"


@pytest.fixture
def folder(tmp_path):
    return filled(tmp_path)


def flip(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("codec", CODECS)
def test_records_come_back_exactly_and_in_the_order_of_writing(codec, tmp_path):
    with Writer(tmp_path, "train", TENSORS, codec=codec, per_shard=PER_SHARD) as writer:
        write(writer, 0, COUNT)
    records = list(Store(tmp_path, "train").dataset().as_numpy_iterator())
    assert len(records) == COUNT
    for i, record in enumerate(records):
        assert set(record) == {"image", "mask", "patient", "slice", "label"}
        np.testing.assert_array_equal(record["image"], image(i), strict=True)
        np.testing.assert_array_equal(record["mask"], np.full((2, 3), i % 2, np.uint8), strict=True)
        assert record["patient"].decode() == f"patient {i // 3}"
        assert record["slice"] == i
        assert record["label"] == i // 3 % 2


def test_shards_are_tfrecord_files_that_anything_can_read(folder):
    names = sorted(str(path) for path in folder.glob("*.tfrecord"))
    examples = [tf.train.Example.FromString(record.numpy()) for record in tf.data.TFRecordDataset(names)]
    assert [example.features.feature["slice"].int64_list.value[0] for example in examples] == list(range(COUNT))


@pytest.mark.parametrize("codec", CODECS)
def test_element_types_and_shapes_are_static(codec, tmp_path):
    with Writer(tmp_path, "train", TENSORS, codec=codec) as writer:
        write(writer, 0, 1)
    assert Store(tmp_path, "train").dataset([0]).element_spec == {
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
        ("float16", np.array([np.nan, -np.inf, 65504, 1 / 3], np.float32)),
        ("float16", np.array([2048.5, 0.1, 1e-9, 2049.5], np.float32)),  # to the nearest, ties to even
        ("uint8", np.array([0, 1, 254, 255], np.uint8)),
        ("int64", np.array([-(2**63), 2**63 - 1, 0, 1])),
        ("float32", np.arange(8, dtype=np.float32)[::2]),  # not contiguous
        ("uint8", np.array([True, False, True, True])),  # of another type than declared
    ],
)
@pytest.mark.parametrize("codec", CODECS)
def test_each_type_is_kept_bit_by_bit(codec, dtype, array, tmp_path):
    with Writer(tmp_path, "test", {"x": ((4,), dtype)}, codec=codec) as writer:
        writer.write({"x": array}, "ä", slice_index=0, label=0)
    (record,) = Store(tmp_path, "test").dataset().as_numpy_iterator()
    assert record["x"].tobytes() == array.astype(dtype).tobytes()
    assert record["x"].dtype == dtype
    assert record["patient"].decode() == "ä"


@pytest.mark.parametrize("codec", CODECS)
def test_bfloat16_keeps_eight_digits(codec, tmp_path):
    with Writer(tmp_path, "test", {"x": ((4,), "bfloat16")}, codec=codec) as writer:
        # 1 + 2^-8 lies halfway between 1 and 1 + 2^-7; 1 + 3 * 2^-8 between 1 + 2^-7 and 1 + 2^-6: ties to even
        writer.write({"x": np.array([1 + 2**-8, 1 + 3 * 2**-8, 1e38, 0], np.float32)}, "A", slice_index=0, label=0)
    (record,) = Store(tmp_path, "test").dataset()
    assert record["x"].dtype == tf.bfloat16
    np.testing.assert_allclose(tf.cast(record["x"], tf.float32), [1, 1 + 2**-6, 1e38, 0], rtol=2**-8)
    np.testing.assert_array_equal(tf.cast(record["x"][:2], tf.float32), [1, 1 + 2**-6])


@pytest.mark.parametrize(("zeros", "least"), [(0.5, 1.3), (0.98, 10)])
def test_codecs_make_sparse_features_smaller(zeros, least, tmp_path):
    random = np.random.default_rng(0)
    feature = random.normal(size=(15, 15, 64)).astype(np.float32)
    feature[np.sort(random.random(feature.shape)) < zeros] = 0  # in runs, as they are
    sizes = {}
    for codec in CODECS:
        with Writer(tmp_path, codec, {"feature": (feature.shape, "float32")}, codec=codec) as writer:
            writer.write({"feature": feature}, "A", slice_index=0, label=0)
        sizes[codec] = (tmp_path / f"{codec}-00000.tfrecord").stat().st_size
    assert sizes["none"] / sizes["lz4"] > least
    assert sizes["none"] / sizes["zstd"] > least


def test_store_says_what_was_written(folder):
    found = Store(folder, "train")
    assert len(found) == COUNT
    assert found.tensors == TENSORS
    assert found.patients == [f"patient {i // 3}" for i in range(COUNT)]
    assert found.slices == list(range(COUNT))
    assert found.labels.tolist() == [i // 3 % 2 for i in range(COUNT)]
    assert sorted(files(folder)) == [*(f"train-0000{i}.tfrecord" for i in range(6)), "train.jsonl"]


@pytest.mark.parametrize("form", ["array", "tensor", "dataset"])
@pytest.mark.parametrize("codec", CODECS)
def test_any_order_any_number_of_times(codec, form, tmp_path):
    with Writer(tmp_path, "train", TENSORS, codec=codec, per_shard=PER_SHARD) as writer:
        write(writer, 0, COUNT)
    wanted = np.random.default_rng(3).integers(0, COUNT, 200)
    given = {
        "array": wanted.tolist(),
        "tensor": tf.constant(wanted, tf.int32),
        "dataset": tf.data.Dataset.from_tensor_slices(wanted),
    }[form]
    records = list(Store(tmp_path, "train").dataset(given).as_numpy_iterator())
    assert [int(record["slice"]) for record in records] == wanted.tolist()
    for i, record in zip(wanted, records):
        np.testing.assert_array_equal(record["image"], image(i))


@pytest.mark.parametrize("codec", CODECS)
def test_within_a_tf_function_and_a_dataset_of_datasets(codec, tmp_path):
    with Writer(tmp_path, "train", TENSORS, codec=codec, per_shard=PER_SHARD) as writer:
        write(writer, 0, COUNT)
    found = Store(tmp_path, "train")

    @tf.function
    def total(numbers):
        return found.dataset(numbers).reduce(0.0, lambda so_far, record: so_far + tf.reduce_sum(record["image"]))

    assert float(total(tf.range(COUNT))) == pytest.approx(sum(image(i).sum() for i in range(COUNT)), rel=1e-4)
    chained = tf.data.Dataset.range(5, 7).flat_map(lambda start: found.dataset(tf.range(start, 40, 11)))
    assert order(chained) == [5, 16, 27, 38, 6, 17, 28, 39]


@pytest.mark.parametrize("damage", ["empty", "not JSON", "missing", "cut", "last line gone", "a shard's line gone"])
def test_damaged_index(folder, damage):
    path = folder / "train.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    text = {
        "empty": "",
        "not JSON": "not JSON",
        "cut": "".join(lines)[:-5],
        "last line gone": "".join(lines[:-1]),
        "a shard's line gone": "".join([*lines[:3], *lines[4:]]),
    }
    path.unlink() if damage == "missing" else path.write_text(text[damage])
    with pytest.raises(InputError) as caught:
        Store(folder, "train")
    assert str(caught.value) == f"{path} is missing or damaged; delete {folder} {FIX}"


@pytest.mark.parametrize("damage", ["truncated", "longer", "missing"])
def test_damaged_shard_is_said_when_opened(folder, damage):
    path = folder / "train-00003.tfrecord"
    content = path.read_bytes()
    changed = {"truncated": content[:-1], "longer": content + b"0", "missing": b""}[damage]
    path.write_bytes(changed)
    if damage == "missing":
        path.unlink()
    with pytest.raises(InputError) as caught:
        Store(folder, "train")
    assert str(caught.value) == f"{path} has {len(changed)} bytes, not {len(content)}; delete {folder} {FIX}"


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("part", ["length", "checksum of the length", "content", "checksum of the content"])
def test_flipped_bit_is_said_when_read(tmp_path, codec, part):
    with Writer(tmp_path, "train", TENSORS, codec=codec, per_shard=PER_SHARD) as writer:
        write(writer, 0, COUNT)
    path = tmp_path / "train-00003.tfrecord"
    flip(path, {"length": 0, "checksum of the length": 8, "content": 60, "checksum of the content": -1}[part])
    found = Store(tmp_path, "train")
    number = 31 if part == "checksum of the content" else 24
    assert order(found.dataset([i for i in range(COUNT) if i != number]))  # the others are as they were
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        order(found.dataset([1, number, 2]))
    assert str(carried_by(caught.value)) == f"{path} is damaged; delete {tmp_path} {FIX}"


@pytest.mark.parametrize("damage", ["truncated", "missing"])
def test_shard_that_goes_after_opening_is_said_when_read(folder, damage):
    found, path = Store(folder, "train"), folder / "train-00003.tfrecord"
    path.write_bytes(path.read_bytes()[:-1])
    if damage == "missing":
        path.unlink()
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        order(found.dataset([31]))
    assert str(carried_by(caught.value)) == f"{path} is damaged; delete {folder} {FIX}"


def test_shard_that_goes_is_said_in_a_folder_whose_name_is_a_pattern_for_tensorflow(tmp_path):
    folder = tmp_path / "run [x] *?\\ü 'q'"
    folder.mkdir()
    filled(folder)
    found, path = Store(folder, "train"), folder / "train-00003.tfrecord"
    assert order(found.dataset()) == list(range(COUNT))
    path.unlink()
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        order(found.dataset([31]))
    assert str(carried_by(caught.value)) == f"{path} is damaged; delete {folder} {FIX}"


def test_damage_is_said_from_within_fit(folder):
    flip(folder / "train-00003.tfrecord", 60)
    pairs = Store(folder, "train").dataset().map(lambda record: (record["image"], record["label"])).batch(4)
    model = tf.keras.Sequential([tf.keras.layers.Flatten(), tf.keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        model.fit(pairs, verbose=0)
    assert str(carried_by(caught.value)) == f"{folder / 'train-00003.tfrecord'} is damaged; delete {folder} {FIX}"


def test_eight_bytes_a_record_in_the_graph(folder):
    found = Store(folder, "train")
    assert found._places.dtype == tf.int64
    assert found._places.shape == [COUNT]
