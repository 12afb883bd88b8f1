import numpy as np

from rembrandt_featgen.segmentation.postprocessing import mask_of, mirrored


def test_mirrored_is_the_mean_of_both():
    images = np.random.default_rng(0).normal(size=(2, 3, 4, 1))
    ramp = np.arange(4.0)[None, None, :, None]
    found = mirrored(lambda batch: batch * ramp, "left_right")(images)
    np.testing.assert_allclose(found, images * (ramp + ramp[:, :, ::-1]) / 2)  # by hand
    np.testing.assert_allclose(mirrored(lambda batch: batch * ramp, "none")(images), images * ramp)


def test_mirrored_both_ways_is_the_mean_of_four():
    images = np.random.default_rng(0).normal(size=(2, 3, 4, 1))
    weights = np.random.default_rng(1).normal(size=(1, 3, 4, 1))
    flipped = [weights, weights[:, ::-1], weights[:, :, ::-1], weights[:, ::-1, ::-1]]
    found = mirrored(lambda batch: batch * weights, "both")(images)
    np.testing.assert_allclose(found, images * sum(flipped) / 4)  # by hand


def test_largest_component_stays():
    probability = np.zeros((3, 8, 8))
    probability[0, :2, :2] = 0.9  # 4 voxels
    probability[1:, 4:7, 4:6] = 0.6  # 12 voxels
    probability[2, 3, 3] = 0.7  # touches them by a corner
    assert mask_of(probability, False).sum() == 4 + 12 + 1
    mask = mask_of(probability, True)
    assert mask.sum() == 12 + 1
    assert not mask[0].any()
    assert not mask_of(np.full((2, 2, 2), 0.5), True).any()
