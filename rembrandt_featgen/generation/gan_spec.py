"""The settings of a GAN: one frozen group, which travels with its weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from rembrandt_featgen.generation.gan_kinds import KINDS, Kind
from rembrandt_featgen.generation.gan_losses import CLASS_LOSSES

# "reference": as in the implementation that the paper followed, with its quirks.
NETWORKS = ("correct", "reference")


@dataclasses.dataclass(frozen=True)
class GanSpec:
    """Settings of a GAN. What features are called here is slices where a kind is `of_images`.

    `ema_decay`, `flip` and `minibatch_stddev` are what training on a small cohort needs beside the paper's losses:
    without them, G circles around what it should learn and ends anywhere on its way.

    Attributes:
      kind: one of `KINDS`.
      shape: (height, width, channels) of a feature.
      num_classes: how many classes it is conditioned on.
      filters_generator, filters_discriminator: ngf and ndf, the paper's 64, 256 or 512 (4.2.1).
      latent: length of the noise vector, without codes.
      codes: continuous codes of an "infogan", appended to its noise; other kinds have none, see `code_count`.
      information_weight: InfoGAN's lambda, the weight of the bound on the codes' mutual information with the feature.
      class_loss: one of `CLASS_LOSSES`.
      networks: one of `NETWORKS`; those of the reference implementation need `scaling.range_of` for scale and lowest.
      ema_decay: decay of the exponential moving average of G's weights, from which features are drawn (Yazici et al.
        2019); 0 draws from G as the last step left it, as the paper does.
      flip: whether D sees real and generated features mirrored left to right at random (Zhao et al. 2020), so that it
        cannot memorise the real ones.
      minibatch_stddev: whether D's source head sees the minibatch standard deviation (Karras et al. 2018), which
        exposes a G that generates the same feature again and again.
      precision: one of `mixed_precision.PRECISIONS`.
      seed: of noise, labels and flips, which are functions of it and of the step.

    Raises:
      ValueError: for an unknown kind, networks or class loss.
    """

    kind: str
    shape: tuple[int, ...]
    num_classes: int
    filters_generator: int = 512
    filters_discriminator: int = 512
    latent: int = 100
    codes: int = 2
    information_weight: float = 1.0
    class_loss: str = "correct"
    networks: str = "correct"
    ema_decay: float = 0.999
    flip: bool = True
    minibatch_stddev: bool = True
    precision: str = "float32"
    seed: int = 0

    def __post_init__(self):
        """Checks the words, which a restored run or a caller may have wrong."""
        for name, known in (("kind", tuple(KINDS)), ("networks", NETWORKS), ("class_loss", tuple(CLASS_LOSSES))):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, received {getattr(self, name)!r}")

    @classmethod
    def of_record(cls, record: Mapping) -> GanSpec:
        """Settings as `record` keeps them, read from JSON, where tuples are lists."""
        return cls(**{**record, "shape": tuple(record["shape"])})

    @property
    def record(self) -> dict:
        """What is kept beside the weights."""
        return dataclasses.asdict(self)

    @property
    def traits(self) -> Kind:
        """What sets its kind apart."""
        return KINDS[self.kind]

    @property
    def code_count(self) -> int:
        """How many codes end its noise: `codes` where its kind has codes, else 0."""
        return self.codes if self.traits.has_codes else 0
