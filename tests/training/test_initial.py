import functools

import numpy as np
import pytest

from rembrandt_featgen.models import pretrained
from rembrandt_featgen.models import unet as unets
from rembrandt_featgen.training import datasets, initial

CONFIG = {"unet_width": 2, "unet_weights_modalities": []}
SLICES = {"modalities": ["flair"], "tumour_prior": 0.02}


def arrays(network):
    return [variable.numpy() for variable in pretrained.variables(network)]


@functools.lru_cache
def began(seed=3, initializer="he", prior=0.02):
    config = {**CONFIG, "seed": seed, "unet_initializer": initializer}
    return arrays(initial.unet(config, {**SLICES, "tumour_prior": prior}))


@pytest.mark.parametrize("initializer", unets.INITIALIZERS)
def test_random_weights_are_those_that_the_finetune_stage_began_with(initializer):
    datasets.set_seed(3)
    network = unets.build_unet(1, 2, initializer, 0.02)
    for x, y in zip(began(initializer=initializer), arrays(network)):
        np.testing.assert_array_equal(x, y)


def test_another_seed_began_elsewhere():
    assert all((x != y).any() for x, y in zip(began()[::2], began(seed=4, prior=0.9)[::2]))  # kernels


@pytest.mark.parametrize(("arguments", "wanted"), [((3, "he", 0.02), 0.02), ((4, "he", 0.9), 0.5)])
def test_head_began_at_the_tumours_share(arguments, wanted):
    np.testing.assert_allclose(1 / (1 + np.exp(-began(*arguments)[-1])), wanted, rtol=1e-5)


def test_weights_of_a_checkpoint_are_adapted_to_the_modalities():
    """FLAIR of BraTS' four channels: its filters times sqrt(4 / 1)."""
    given = [array + 0.5 for array in began()]
    given[0] = np.concatenate([given[0], *[np.full_like(given[0], 9.0)] * 3], axis=2)
    found = arrays(initial.unet({**CONFIG, "seed": 0, "unet_initializer": "he"}, SLICES, given))
    np.testing.assert_allclose(found[0], 2 * given[0][:, :, :1])
    for x, y in zip(found[1:], given[1:]):
        np.testing.assert_array_equal(x, y)
