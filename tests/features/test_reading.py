import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.data.store_writer import Writer
from rembrandt_featgen.features.reading import in_float32, open_features


@pytest.mark.parametrize("name", ["feature", "image"])  # of slices, their images
def test_features_and_slices_are_read_alike_in_any_order(tmp_path, name):
    tensors = {name: ((1, 1, 2), "float16")} | ({"mask": ((1, 1, 1), "uint8")} if name == "image" else {})
    with Writer(tmp_path, "train", tensors) as writer:
        for i in range(3):
            arrays = {name: np.full((1, 1, 2), i), "mask": np.ones((1, 1, 1))}
            writer.write({key: arrays[key] for key in tensors}, f"patient {i}", slice_index=10 + i, label=i % 2)
    features = open_features(tmp_path, "train")
    assert (features.shape, len(features)) == ((1, 1, 2), 3)
    assert features.patients == ["patient 0", "patient 1", "patient 2"]
    assert features.positions.tolist() == [10, 11, 12]
    assert features.labels.tolist() == [0, 1, 0]
    (batch,) = features.dataset(tf.constant([2, 0], tf.int64)).batch(2).map(in_float32)
    assert set(batch) == {"feature", "patient", "slice", "label"}
    assert batch["feature"].dtype == tf.float32
    np.testing.assert_array_equal(batch["feature"][:, 0, 0], [[2, 2], [0, 0]])
    assert batch["patient"].numpy().tolist() == [b"patient 2", b"patient 0"]
    assert batch["slice"].numpy().tolist() == [12, 10]
    assert batch["label"].numpy().tolist() == [0, 0]
