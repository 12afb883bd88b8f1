"""The arms of a study: everything that generated features must beat, each described by what it changes."""

from __future__ import annotations

import dataclasses

from rembrandt_featgen.generation import classical
from rembrandt_featgen.generation.classical import Synthesiser
from rembrandt_featgen.generation.training_set import Samples


def with_pool(arm: Arm, pool: Samples) -> Arm:
    """A pooled arm that draws from `pool`, see `classical.from_pool`."""
    return dataclasses.replace(arm, synthesise=classical.from_pool(pool))


@dataclasses.dataclass(frozen=True)
class Arm:
    """One way to train a classifier; all else is as in the arm "none".

    Attributes:
      name: as in the table.
      kind: "none", "classical" or "generative".
      synthesise: makes extra training samples; None for none.
      pooled: whether `synthesise` is to come from `with_pool`.
      loss: "cross_entropy" or "focal".
      class_weights: whether a sample of class c weighs n / (K n_c), K classes.
      mixing: None, "input" (mixup of features) or "manifold" (at the input or after a block of convolution).
    """

    name: str
    kind: str = "classical"
    synthesise: Synthesiser | None = None
    pooled: bool = False
    loss: str = "cross_entropy"
    class_weights: bool = False
    mixing: str | None = None

    @property
    def takes_amount(self) -> bool:
        """Whether there are amounts to choose from."""
        return self.pooled or self.synthesise is not None


# In the order of the table.
ARMS: dict[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm("none", "none"),
        Arm("class_weights", class_weights=True),
        Arm("focal_loss", loss="focal"),
        Arm("random_oversampling", synthesise=classical.repeat),
        Arm("smote", synthesise=classical.smote),
        Arm("borderline_smote", synthesise=classical.borderline_smote),
        Arm("mixup", mixing="input"),
        Arm("manifold_mixup", mixing="manifold"),
        Arm("gaussian_noise", synthesise=classical.gaussian_noise),
        Arm("interpolation", synthesise=classical.interpolate),
        Arm("extrapolation", synthesise=classical.extrapolate),
        Arm("image_augmentation", pooled=True),
        Arm("acgan", "generative", pooled=True),
        Arm("infogan", "generative", pooled=True),
        Arm("cgan", "generative", pooled=True),
        Arm("image_acgan", "generative", pooled=True),
    )
}
