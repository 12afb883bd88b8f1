import dataclasses

import pytest

from rembrandt_featgen.generation.gan_spec import FIELDS, GanSpec
from rembrandt_featgen.stages import train_generators

SHAPE = (5, 6, 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "wgan"}, "kind must be one of acgan, infogan, cgan, image_acgan, received 'wgan'"),
        ({"class_loss": "right"}, "class_loss must be one of correct, reference, received 'right'"),
        ({"networks": "right"}, "networks must be one of correct, reference, received 'right'"),
    ],
)
def test_unknown_words_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        GanSpec(**{"kind": "acgan", "shape": SHAPE, "num_classes": 2, **settings})


def test_every_setting_but_those_of_the_run_has_a_flag():
    fields = {field.name for field in dataclasses.fields(GanSpec)}
    assert set(FIELDS.values()) == fields - {"kind", "shape", "num_classes"}
    flags = {field.name for field in dataclasses.fields(train_generators.Config)}
    assert flags > set(FIELDS)


def test_defaults_are_those_of_the_flags():
    config = dataclasses.asdict(train_generators.Config(run_dir="x", generators=("cgan",)))
    assert GanSpec.of_config(config, list(SHAPE), 2) == GanSpec("cgan", SHAPE, 2)


def test_settings_of_a_config():
    """As stage.json has it, where tuples are lists."""
    config = dataclasses.asdict(train_generators.Config(run_dir="x", generators=("infogan", "acgan")))
    changes = {
        "ngf": 1,
        "ndf": 2,
        "gan_latent": 3,
        "infogan_codes": 4,
        "infogan_weight": 0.5,
        "gan_loss": "reference",
        "gan_networks": "reference",
        "gan_ema_decay": 0.25,
        "gan_flip": False,
        "gan_minibatch_stddev": False,
        "precision": "float16",
        "seed": 6,
    }
    assert GanSpec.of_config({**config, **changes, "generators": ["infogan"]}, list(SHAPE), 3) == GanSpec(
        kind="infogan",
        shape=SHAPE,
        num_classes=3,
        filters_generator=1,
        filters_discriminator=2,
        latent=3,
        codes=4,
        information_weight=0.5,
        class_loss="reference",
        networks="reference",
        ema_decay=0.25,
        flip=False,
        minibatch_stddev=False,
        precision="float16",
        seed=6,
    )


@pytest.mark.parametrize(("kind", "codes"), [("acgan", 0), ("infogan", 4), ("cgan", 0), ("image_acgan", 0)])
def test_an_infogan_alone_has_codes(kind, codes):
    assert GanSpec(kind, SHAPE, 2, codes=4).code_count == codes
