"""Flags of the stages that train networks of maps, generators and classifiers, of a run or for each task of a study."""

from __future__ import annotations

from rembrandt_featgen.classification.map_fitting import CnnSettings, LinearSettings, NetworkSettings
from rembrandt_featgen.core import cli
from rembrandt_featgen.generation.gan_training import GanTraining


def ndf():
    """--ndf."""
    return cli.flag(
        512,
        "Filters of each hidden layer of the discriminator; of an image_acgan, of the deepest of five, each shallower "
        "one having half.",
        minimum=1,
        source="paper 4.2.1",
    )


def ngf():
    """--ngf."""
    return cli.flag(512, "The same of the generator.", minimum=1, source="paper 4.2.1")


def gan_batch():
    """--gan_batch."""
    return cli.flag(16, "Features in a batch.", minimum=2, source="paper 4.2")


def gan_learning_rate():
    """--gan_learning_rate."""
    return cli.flag(2e-4, "Adam's learning rate for both networks; the paper takes 0.002.", minimum=0.0)


def gan_beta1():
    """--gan_beta1."""
    return cli.flag(0.5, "Adam's beta1, as in the reference implementation.", minimum=0.0)


def generate_tries():
    """--generate_tries."""
    return cli.flag(
        10,
        "Times --synthetic_per_class (in a few-shot study, times what its arms need) that are generated at most; 1 "
        "generates that many and keeps those of them that are accepted, as the paper does.",
        minimum=1,
    )


def classifier_filters():
    """--classifier_filters."""
    return cli.flag(64, "Filters of the CNN's first convolution; the second has twice as many.", minimum=1)


def classifier_units():
    """--classifier_units."""
    return cli.flag(128, "Units of the CNN's first dense layer.", minimum=1)


def classifier_epochs():
    """--classifier_epochs."""
    return cli.flag(50, "Epochs at most.", minimum=1)


def classifier_batch():
    """--classifier_batch."""
    return cli.flag(16, "Features in a batch.", minimum=1)


def classifier_learning_rate():
    """--classifier_learning_rate."""
    return cli.flag(1e-4, "Adam's learning rate.", minimum=0.0)


def classifier_patience():
    """--classifier_patience."""
    return cli.flag(10, "Epochs without a lower validation loss before stopping; 0 never stops.", minimum=0)


def classifiers(config) -> dict[str, NetworkSettings]:
    """Settings of the classifiers of maps by name, by the flags above and --precision."""
    settings = {
        "filters": config.classifier_filters,
        "units": config.classifier_units,
        "epochs": config.classifier_epochs,
        "batch": config.classifier_batch,
        "learning_rate": config.classifier_learning_rate,
        "precision": config.precision,
    }
    return {"cnn": CnnSettings(**settings), "linear": LinearSettings(**settings)}


def gans(config) -> GanTraining:
    """How a stage trains GANs in memory, by its --gan_steps and the flags above."""
    return GanTraining(
        steps=config.gan_steps,
        filters_generator=config.ngf,
        filters_discriminator=config.ndf,
        batch=config.gan_batch,
        learning_rate=config.gan_learning_rate,
        beta1=config.gan_beta1,
        precision=config.precision,
    )
