import numpy as np
import tensorflow as tf

from rembrandt_featgen.data import standard_augmentation, unoriented_augmentation
from rembrandt_featgen.data.pipelines import AUGMENTATIONS


def test_slices_come_in_every_orientation():
    assert AUGMENTATIONS["unoriented"] is unoriented_augmentation
    drawn = unoriented_augmentation.draw([1, 2], 2000, height=32, width=32)
    for flip in (drawn.flip_horizontal, drawn.flip_vertical):
        assert 0.45 < flip.numpy().mean() < 0.55
    assert 44.0 < np.degrees(np.abs(drawn.angle)).max() <= 45.0
    mild = standard_augmentation.draw([1, 2], 2000, height=32, width=32)
    for name in ("displacement", "shift", "shear", "zoom"):  # all else is as there
        np.testing.assert_array_equal(getattr(drawn, name), getattr(mild, name))


def test_augment_draws_these_ranges():
    images = tf.random.stateless_normal([16, 32, 32, 1], [1, 2])
    masks = tf.cast(images > 0.5, tf.uint8)
    _, found = unoriented_augmentation.augment(images, masks, [3, 4])
    _, wanted = unoriented_augmentation.apply(
        images, masks, unoriented_augmentation.draw([3, 4], 16, height=32, width=32)
    )
    np.testing.assert_array_equal(found, wanted)
