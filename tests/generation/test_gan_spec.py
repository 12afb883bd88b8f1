import json

import pytest

from rembrandt_featgen.generation.gan_spec import GanSpec
from rembrandt_featgen.stages import train_generators

SHAPE = (5, 6, 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "wgan"}, "kind must be one of acgan, infogan, cgan, adcgan, image_acgan, received 'wgan'"),
        ({"class_loss": "right"}, "class_loss must be one of correct, reference, received 'right'"),
        ({"networks": "right"}, "networks must be one of correct, reference, received 'right'"),
    ],
)
def test_unknown_words_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        GanSpec(**{"kind": "acgan", "shape": SHAPE, "num_classes": 2, **settings})


def test_a_record_gives_the_settings_back():
    """As JSON has it, where tuples are lists."""
    spec = GanSpec("infogan", SHAPE, 3, latent=7, class_loss="reference", ema_decay=0.25, flip=False, seed=6)
    record = json.loads(json.dumps(spec.record))
    assert record["shape"] == list(SHAPE)
    assert GanSpec.of_record(record) == spec


def test_defaults_are_those_of_the_flags():
    config, spec = train_generators.Config(run_dir="x"), GanSpec("acgan", SHAPE, 2)
    given = (config.ngf, config.ndf, config.gan_latent, config.infogan_codes, config.infogan_weight, config.gan_loss)
    assert given == (spec.filters_generator, spec.filters_discriminator, spec.latent, spec.codes, 1.0, spec.class_loss)
    given = (config.gan_networks, config.gan_ema_decay, config.gan_flip, config.gan_minibatch_stddev, config.precision)
    assert given == (spec.networks, spec.ema_decay, spec.flip, spec.minibatch_stddev, spec.precision)


@pytest.mark.parametrize(("kind", "codes"), [("acgan", 0), ("infogan", 4), ("cgan", 0), ("image_acgan", 0)])
def test_an_infogan_alone_has_codes(kind, codes):
    assert GanSpec(kind, SHAPE, 2, codes=4).code_count == codes
