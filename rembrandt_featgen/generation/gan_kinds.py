"""The kinds of GAN, and what sets them apart; `gan.build_gan` builds them.

- "acgan", the paper's (3.2, 4.2): D has an auxiliary classifier (Odena et al. 2017).
- "infogan": besides, D estimates codes that are part of the noise from the feature, by a bound on their mutual
  information (Chen et al. 2016). The class is its categorical code, which is known for real features (as in ss-InfoGAN,
  Spurr et al. 2017), so that a class can be asked for; the class term is that code's part of the bound.
- "cgan", a plain conditional GAN (Mirza and Osindero 2014): D receives the class and judges the pair, by projection
  conditioning (Miyato and Koyama 2018). It does not classify: the difference of its logits under two classes is the log
  of real odds over generated odds, which is 0 everywhere once the generator is right. So all of its features are
  accepted.
- "adcgan" (Hou et al. 2022): D's auxiliary classifier tells real from generated as well, 2 outputs a class. An ACGAN's
  classifier and generator both gain by what is easy to classify, wherever real samples lie: G may leave out what is
  ambiguous, or mark its samples. Here D gains by calling them generated, and G minimises the divergence of its joint
  distribution with the class from that of real samples: it cannot agree with the classifier on marks of its own.
- "image_acgan", the baseline that the paper wanted: an ACGAN of whole slices, whose slices become features by the same
  U-Net as real slices do (`encoded_gan.EncodedGAN`).
"""

from __future__ import annotations

from typing import NamedTuple


class Kind(NamedTuple):
    """What sets a kind of GAN apart.

    Attributes:
      has_auxiliary_classifier: whether D classifies features.
      is_projection_conditioned: whether D receives the class and judges the pair.
      has_codes: whether part of the noise are codes that D estimates from the feature.
      classifies_sources: whether that classifier tells real features of a class from generated ones of it, too.
      of_images: whether it generates slices, by deeper networks, instead of features.
    """

    has_auxiliary_classifier: bool
    is_projection_conditioned: bool = False
    has_codes: bool = False
    classifies_sources: bool = False

    @property
    def can_refuse(self) -> bool:
        """Whether D's classifier can accept or refuse generated features.

        One that also tells sources apart is the generator's adversary in each class: it says what it has against a
        feature, not of which class it is.
        """
        return self.has_auxiliary_classifier and not self.classifies_sources

    of_images: bool = False


KINDS = {
    "acgan": Kind(has_auxiliary_classifier=True),
    "infogan": Kind(has_auxiliary_classifier=True, has_codes=True),
    "cgan": Kind(has_auxiliary_classifier=False, is_projection_conditioned=True),
    "adcgan": Kind(has_auxiliary_classifier=True, classifies_sources=True),
    "image_acgan": Kind(has_auxiliary_classifier=True, of_images=True),
}
