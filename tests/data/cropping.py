"""The centre of slices in plain numpy, to compare what is prepared with."""

import numpy as np


def centre_crop_or_pad(volume: np.ndarray, size: int) -> np.ndarray:
    """Crops or pads both in-plane axes around the centre; padding is 0, the background of skull-stripped MRI.

    The split of an odd difference is that of `tf.image.resize_with_crop_or_pad`, which the exported model uses.

    Args:
      volume: [height, width, ...].
      size: wanted height and width, pixels.

    Returns:
      [size, size, ...], of the same type.
    """
    for axis in (0, 1):
        extra = volume.shape[axis] - size
        if extra > 0:
            start = extra // 2
            volume = np.take(volume, range(start, start + size), axis)
        elif extra < 0:
            before = -extra // 2
            widths = [(0, 0)] * volume.ndim
            widths[axis] = (before, -extra - before)
            volume = np.pad(volume, widths)
    return volume
