import numpy as np
import tensorflow as tf

from rembrandt_featgen.data import augmentation, standard_augmentation
from rembrandt_featgen.data.pipelines import AUGMENTATIONS


def test_it_is_offered():
    assert AUGMENTATIONS["standard"] is standard_augmentation


def test_no_slice_is_upside_down_and_geometry_is_milder():
    mild, paper = (
        each.draw([1, 2], 2000, height=32, width=32, ranges=each.RANGES)
        for each in (standard_augmentation, augmentation)
    )
    assert not mild.flip_vertical.numpy().any()
    assert 0.45 < mild.flip_horizontal.numpy().mean() < 0.55
    for name, share in {"angle": 0.75, "shift": 0.5, "zoom": 1.5}.items():
        ratio = np.abs(getattr(mild, name)).max() / np.abs(getattr(paper, name)).max()
        assert abs(ratio - share) < 0.02, name
    assert abs(mild.displacement.numpy().std() / paper.displacement.numpy().std() - 0.5) < 0.02


def test_masks_are_moved_as_by_geometry_alone_and_images_change_more():
    images = tf.random.stateless_normal([24, 32, 32, 2], [1, 2])
    masks = tf.cast(images[..., :1] > 0.5, tf.uint8)
    found, moved = standard_augmentation.augment(images, masks, [3, 4])
    parameters = standard_augmentation.draw([3, 4], 24, height=32, width=32)
    turned, wanted = standard_augmentation.apply(images, masks, parameters)
    np.testing.assert_array_equal(moved, wanted)
    changed = np.abs(found - turned).max((1, 2, 3)) > 1e-3
    assert 0.3 < changed.mean() < 0.95
    again, _ = standard_augmentation.augment(images, masks, tf.constant([3, 4], tf.int64))
    np.testing.assert_array_equal(found, again)
