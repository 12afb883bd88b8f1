"""Splits whose records lie in another store: which, in which order, and how they are normalised."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.core.errors import InputError, carried_by
from rembrandt_featgen.data.store import Store
from rembrandt_featgen.data.store_index import Normalisation, write_reference
from rembrandt_featgen.data.store_writer import Writer
from tests.data.stored import COUNT, PER_SHARD, TENSORS, filled, image, order, write

CHOSEN = ["patient 7", "patient 0", "patient 14"]
NUMBERS = [21, 22, 23, 0, 1, 2, 42, 43, 44]


@pytest.fixture
def folders(tmp_path):
    """A folder of records, and an empty one that is to refer to them."""
    for name in ("all", "part"):
        (tmp_path / name).mkdir()
    return filled(tmp_path / "all"), tmp_path / "part"


def _referring(store, folder, **settings):
    write_reference(folder, "test", store=(store, "train"), patients=CHOSEN, **settings)
    return Store(folder, "test")


def test_records_of_some_patients(folders):
    found = _referring(*folders)
    assert len(found) == len(NUMBERS)
    assert found.patients == [f"patient {number // 3}" for number in NUMBERS]
    assert found.slices == NUMBERS
    assert found.labels.tolist() == [number // 3 % 2 for number in NUMBERS]
    assert found.tensors == TENSORS
    for number, record in zip(NUMBERS, found.dataset().as_numpy_iterator(), strict=True):
        np.testing.assert_array_equal(record["image"], image(number))
        np.testing.assert_array_equal(record["mask"], np.full((2, 3), number % 2, np.uint8))
    assert order(found.dataset([8, 0, 3, 3])) == [44, 21, 0, 0]
    assert sorted(path.name for path in folders[1].iterdir()) == ["test.jsonl"]


def test_normalised_as_they_are_read(tmp_path):
    """float32, each channel by its own numbers, masks as they are; inside the graph as outside."""
    values = np.random.default_rng(0).normal(100, 30, (5, 4, 3, 2)).astype(np.float32)
    with Writer(tmp_path, "all", {"image": ((4, 3, 2), "float32"), "mask": ((4, 3, 1), "uint8")}) as writer:
        for number, one in enumerate(values):
            writer.write({"image": one, "mask": np.ones((4, 3, 1))}, "A", slice_index=number, label=0)
    shift, scale = [101.1, 99.3], [30.3, 29.7]
    normalise = {"image": Normalisation(shift, scale)}
    write_reference(tmp_path, "train", store=(tmp_path, "all"), patients=["A"], normalise=normalise)
    found = Store(tmp_path, "train")
    wanted = (values - np.array(shift, np.float32)) / np.array(scale, np.float32)
    records = list(found.dataset().as_numpy_iterator())
    np.testing.assert_array_equal([record["image"] for record in records], wanted, strict=True)
    assert all((record["mask"] == 1).all() and record["mask"].dtype == np.uint8 for record in records)
    assert found.dataset().element_spec["image"] == tf.TensorSpec((4, 3, 2), tf.float32)

    @tf.function
    def total():
        return found.dataset().reduce(0.0, lambda so_far, record: so_far + tf.reduce_sum(record["image"]))

    assert float(total()) == pytest.approx(wanted.sum(), rel=1e-4)


def test_moved_and_linked_folders(folders, tmp_path):
    _referring(*folders)
    for name in ("all", "part"):
        shutil.move(tmp_path / name, tmp_path / "deeper" / "moved" / name)
    (tmp_path / "link").symlink_to(tmp_path / "deeper" / "moved" / "part")
    assert order(Store(tmp_path / "link", "test").dataset()) == NUMBERS


@pytest.mark.parametrize("damage", ["missing", "cut", "no such patient", "fewer patients", "nothing"])
def test_damaged_reference(damage, folders):
    store, folder = folders
    _referring(store, folder)
    path = folder / "test.jsonl"
    header, chosen, end = path.read_text().splitlines()
    text = {
        "cut": f"{header}\n{chosen}\n",
        "no such patient": "\n".join([header, json.dumps({"patients": [*CHOSEN, "X"]}), end]),
        "fewer patients": "\n".join([header, json.dumps({"patients": CHOSEN[:2]}), end]),
        "nothing": "",
    }
    path.unlink() if damage == "missing" else path.write_text(text[damage])
    with pytest.raises(InputError) as caught:
        Store(folder, "test")
    assert str(caught.value) == f"{path} is missing or damaged; delete {folder} so that its stage is done again"


@pytest.mark.parametrize("damage", ["index", "shard", "flipped"])
def test_damage_of_the_other_store_names_its_folder(damage, folders):
    store, folder = folders
    found = _referring(store, folder)
    path = store / ("train.jsonl" if damage == "index" else "train-00002.tfrecord")
    if damage == "flipped":
        content = bytearray(path.read_bytes())
        content[60 + 5 * len(content) // PER_SHARD] ^= 1  # of record 21, the sixth of the third shard
        path.write_bytes(content)
        with pytest.raises(tf.errors.InvalidArgumentError) as caught:
            order(found.dataset())
        error = carried_by(caught.value)
    else:
        path.unlink()
        with pytest.raises(InputError) as caught:
            Store(folder, "test")
        error = caught.value
    assert str(path) in str(error) and f"delete {store} so that" in str(error)


def test_a_patient_who_is_not_there(folders):
    with pytest.raises(KeyError, match="nobody"):
        write_reference(folders[1], "test", store=(folders[0], "train"), patients=["nobody"])
    assert not list(folders[1].iterdir())
    assert len(Store(folders[0], "train")) == COUNT


def test_a_split_of_nobody(folders):
    write_reference(folders[1], "test", store=(folders[0], "train"), patients=[])
    assert list(Store(folders[1], "test").dataset()) == []
    with Writer(folders[1], "none", TENSORS) as writer:
        write(writer, 0, 0)
    assert len(Store(folders[1], "none")) == 0


@pytest.mark.parametrize(
    ("line", "changes"),
    [
        (0, {"store": "."}),  # itself
        (1, {"labels": [0, int("9" * 400)]}),
        (1, {"lengths": [84] * 50}),
        (1, {"bytes": "200"}),
        (1, {"file": "x" * 5000}),
    ],
)
def test_what_a_stranger_could_write(tmp_path, line, changes):
    folder = tmp_path / "store"
    folder.mkdir()
    with Writer(folder, "train", TENSORS) as writer:
        write(writer, 0, 0)
        write(writer, 0, 1)
    path = folder / "train.jsonl"
    lines = path.read_text().splitlines()
    if line:
        lines[line] = json.dumps({**json.loads(lines[line]), **changes})
    else:
        header = {"store": ".", "name": "train", "normalise": {}}
        lines = [json.dumps(header), json.dumps({"patients": []}), lines[-1]]
    path.write_text("".join(f"{one}\n" for one in lines))
    with pytest.raises(InputError, match="delete .*store so that its stage is done again"):
        Store(folder, "train")
