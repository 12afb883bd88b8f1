"""The ways in which Table 1 can be applied; each is a module with `draw`, `apply` and `augment`."""

from rembrandt_featgen.data import augment, augment_origin

AUGMENTATIONS = {"correct": augment, "origin": augment_origin}
