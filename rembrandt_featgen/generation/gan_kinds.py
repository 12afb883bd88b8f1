"""The kinds of GAN, and what sets them apart; `gan.build_gan` builds them.

- "acgan", the paper's (3.2, 4.2): D has an auxiliary classifier (Odena et al. 2017).
- "infogan": besides, D estimates codes that are part of the noise from the feature, by a bound on their mutual
  information (Chen et al. 2016). The class is its categorical code, which is known for real features (as in ss-InfoGAN,
  Spurr et al. 2017), so that a class can be asked for; the class term is that code's part of the bound.
- "cgan", a plain conditional GAN (Mirza and Osindero 2014): D receives the class and judges the pair, by projection
  conditioning (Miyato and Koyama 2018). It does not classify: the difference of its logits under two classes is the log
  of real odds over generated odds, which is 0 everywhere once the generator is right. So all of its features are
  accepted.
- "image_acgan", the baseline that the paper wanted: an ACGAN of whole slices, whose slices become features by the same
  U-Net as real slices do (`encoded_gan.EncodedGAN`).
"""

from __future__ import annotations

from typing import NamedTuple


class Kind(NamedTuple):
    """What sets a kind of GAN apart.

    Attributes:
      has_auxiliary_classifier: whether D classifies features, so that generated ones can be accepted or refused.
      is_projection_conditioned: whether D receives the class and judges the pair.
      has_codes: whether part of the noise are codes that D estimates from the feature.
      of_images: whether it generates slices, by deeper networks, instead of features.
    """

    has_auxiliary_classifier: bool
    is_projection_conditioned: bool = False
    has_codes: bool = False
    of_images: bool = False


KINDS = {
    "acgan": Kind(has_auxiliary_classifier=True),
    "infogan": Kind(has_auxiliary_classifier=True, has_codes=True),
    "cgan": Kind(has_auxiliary_classifier=False, is_projection_conditioned=True),
    "image_acgan": Kind(has_auxiliary_classifier=True, of_images=True),
}
