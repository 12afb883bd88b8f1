"""Samples on disk, the order in which they are read, slices, tf.data pipelines, and augmentation."""
