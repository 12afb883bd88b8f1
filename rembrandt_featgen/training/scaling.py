"""Scale of features, from training patients only."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import tensorflow as tf


def root_mean_square(batches: Iterable[dict]) -> np.ndarray:
    """Root mean square of each channel over all features and positions.

    Args:
      batches: records with "feature" [batch, h, w, channels].

    Returns:
      [channels] float32; 0 for a channel that never fires.
    """
    total, count = 0.0, 0
    for batch in batches:
        feature = tf.cast(batch["feature"], tf.float64)
        total = total + tf.reduce_sum(feature**2, axis=(0, 1, 2)).numpy()
        count += int(np.prod(feature.shape[:3]))
    return np.sqrt(total / count).astype(np.float32)
