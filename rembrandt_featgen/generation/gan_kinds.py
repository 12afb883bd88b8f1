"""The kinds of generator, and what sets them apart; `models/gans.py` builds them.

- "acgan", the paper's (3.2, 4.2): D tells the grade, too (Odena et al. 2017).
- "infogan": besides, codes that are part of the noise are to be told from the feature, by a bound on their mutual
  information (Chen et al. 2016). The grade is its categorical code, which is known for real features (as in ss-InfoGAN,
  Spurr et al. 2017), so that a grade can be asked for; the class term is that code's part of the bound.
- "cgan", a plain conditional GAN (Mirza and Osindero 2014): D is told the grade and judges the pair, by projection
  (Miyato and Koyama 2018). It has no opinion on the grade: the difference of its logits under both grades is the log
  of real odds over generated odds, which is 0 everywhere once the generator is right. So it confirms no feature, and
  all are kept.
- "image_acgan", the baseline that the paper wanted: an ACGAN of whole slices, whose images become features by the same
  U-Net as real slices do (`models/image_gans.py`).
"""

from __future__ import annotations

from typing import NamedTuple


class Kind(NamedTuple):
    """What D has, see `gan_networks.build_discriminator`, and what it is shown."""

    tells_grade: bool
    is_told_grade: bool = False
    has_codes: bool = False
    of_images: bool = False  # of slices, by deeper networks, instead of features


KINDS = {
    "acgan": Kind(tells_grade=True),
    "infogan": Kind(tells_grade=True, has_codes=True),
    "cgan": Kind(tells_grade=False, is_told_grade=True),
    "image_acgan": Kind(tells_grade=True, of_images=True),
}
