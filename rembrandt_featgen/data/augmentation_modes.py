"""The ways in which Table 1 can be applied; each is a module with `draw`, `apply` and `augment`."""

from rembrandt_featgen.data import augmentation, reference_augmentation

AUGMENTATIONS = {"correct": augmentation, "reference": reference_augmentation}
