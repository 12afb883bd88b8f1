"""Pre-trained weights for the U-Net: from a checkpoint's arrays to the layers that they belong to, and back.

TensorLayer keeps no names in its `.npz` checkpoints: the order of the layers' construction is their only meaning. It is
the same in TensorLayer 1 (`all_params`: a concatenation keeps [up, skip] and drops what it has seen), in TensorLayer 2
(`all_weights`: the graph from input to output) and in this program's `best.npz`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from rembrandt_featgen.segmentation.unet import layers_of

BRATS_MODALITIES = ("flair", "t1", "t1ce", "t2")  # input channels of the reference implementation, paper 3.1
LAYERS = (
    *(f"conv{level}_{index}" for level in range(1, 6) for index in (1, 2)),
    *(name for level in (4, 3, 2, 1) for name in (f"deconv{level}", f"uconv{level}_1", f"uconv{level}_2")),
    "uconv1",
)
_FIRST = "conv1_1/kernel"
_OF_NORM = ("beta", "gamma", "moving_mean", "moving_var")  # TensorLayer's order; instance norm has the first two
_NORMS = {46: "none", 82: "instance", 118: "batch"}  # of a U-Net by how many arrays it has


def names(unet: tf.keras.Model) -> tuple[str, ...]:
    """Names of the U-Net's weights, "conv1_1/kernel", in the order of its layers' construction."""
    held = []
    for name in LAYERS:
        _, *norms = layers_of(unet, name)
        held += [f"{name}/kernel", f"{name}/bias"]
        held += [f"{norm.name}/{part}" for norm in norms for part in _OF_NORM[: len(norm.weights)]]
    return tuple(held)


def variables(unet: tf.keras.Model) -> list[tf.Variable]:
    """The U-Net's weights in the order of `names`.

    Kernels are (height, width, in, out), those of deconvolutions (height, width, out, in), as TensorLayer keeps them.
    """
    return [variable for layer in LAYERS for part in layers_of(unet, layer) for variable in part.weights]


def adapt_channels(kernel: np.ndarray, given: Sequence[str], wanted: Sequence[str]) -> np.ndarray:
    """The first kernel of a U-Net for other input channels.

    Each wanted channel keeps the filters that were trained on it. A filter's response is the sum over its channels,
    each of variance 1 after normalisation, so fewer of them would leave a smaller one than what the biases and the
    layers behind were trained for. The kernel is therefore multiplied by sqrt(given / wanted), which keeps the variance
    where the channels' shares of the response are uncorrelated and alike on average (He et al. 2015,
    arXiv:1502.01852). Were they all the same, it would take given / wanted; fine-tuning makes up for the difference.
    A neighbour slice's channel ("flair@below") that is not given has filters of zeros, and does not count: a network
    that has seen single slices starts as if it still saw them.

    Args:
      kernel: [height, width, given, filters].
      given: names of its channels.
      wanted: names of the channels wanted, each one of `given`, or a neighbour's of one.

    Returns:
      [height, width, wanted, filters].
    """
    padded = np.concatenate([kernel, np.zeros_like(kernel[:, :, :1])], axis=2)
    places = [list(given).index(name) if name in given else len(given) for name in wanted]
    return padded[:, :, places] * np.float32(_factor(given, wanted))


def assign(
    unet: tf.keras.Model, arrays: Sequence[np.ndarray], modalities: Sequence[str], *, given: Sequence[str] = ()
) -> str:
    """Sets the U-Net's weights to those of a checkpoint, or none of them.

    Args:
      unet: of `build_unet`.
      arrays: in the order of `names`, floats.
      modalities: the U-Net's input channels.
      given: the checkpoint's input channels; empty for BraTS' where it has four, else for `modalities`, or those of
        them that are of no neighbour slice where it has as many.

    Returns:
      What was adapted, in words, for the log.

    Raises:
      ValueError: the arrays are not those of this network; the message says which one and what is wanted.
    """
    wanted = {name: tuple(variable.shape) for name, variable in zip(names(unet), variables(unet))}
    _check_norm(len(arrays), wanted=len(wanted))
    with np.errstate(over="ignore"):  # what is too large for float32 is refused below
        arrays, adapted = [array.astype(np.float32) for array in arrays], "as they are"
    if arrays and arrays[0].ndim == 4:
        given = given or _given(arrays[0].shape[2], modalities)
        _check_first(arrays[0].shape, shape=wanted[_FIRST], modalities=modalities, given=given)
        if list(given) != list(modalities):
            arrays[0] = adapt_channels(arrays[0], given, modalities)
            kept, new = [name for name in modalities if name in given], [x for x in modalities if x not in given]
            factor = _factor(given, modalities)
            adapted = f"the first layer's channels {','.join(kept)} of {','.join(given)}, times {factor:.3g}"
            adapted += f", and zeros for {','.join(new)}" if new else ""
    for (name, shape), array in zip(wanted.items(), arrays):
        if array.shape != shape:
            raise ValueError(f"{name} has shape {array.shape} in it, but {shape} in this U-Net")
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds NaN or infinite values")
    if len(arrays) != len(wanted):
        order = tuple(wanted)
        more = "the next would be " + order[len(arrays)] if len(arrays) < len(order) else f"{order[-1]} is the last"
        raise ValueError(f"it holds {len(arrays)} arrays, but this U-Net has {len(wanted)}: {more}")
    for variable, array in zip(variables(unet), arrays):
        variable.assign(array)
    return adapted


def _given(channels: int, modalities: Sequence[str]) -> Sequence[str]:
    """Names of a checkpoint's input channels where the user does not give them."""
    own = list(dict.fromkeys(_own(name) for name in modalities))
    if channels == len(BRATS_MODALITIES) and set(own) <= set(BRATS_MODALITIES):
        return BRATS_MODALITIES
    return own if channels == len(own) else modalities


def _own(name):
    """The modality of a channel, which may be a neighbour slice's: "flair" of "flair@below"."""
    return name.partition("@")[0]


def _factor(given, wanted):
    """What keeps the size of the first layer's responses, see `adapt_channels`."""
    return math.sqrt(len(given) / sum(name in given for name in wanted))


def _check_norm(held, *, wanted) -> None:
    """Refuses the weights of a U-Net of another norm."""
    given, own = _NORMS.get(held), _NORMS[wanted]
    if given not in (None, own):
        raise ValueError(
            f"it holds {held} arrays, which is a U-Net of --unet_norm={given}, but this one has --unet_norm={own}; "
            f"give --unet_norm={given}, or weights of a run with --unet_norm={own}"
        )


def _check_first(held, *, shape, modalities, given) -> None:
    """Refuses a first kernel of another width, or whose input channels are not known."""
    if held[3] != shape[3]:
        raise ValueError(
            f"{_FIRST} has shape {held} in it, which is a U-Net of width {held[3]}, but this one has width "
            f"{shape[3]}; give --unet_width={held[3]}"
        )
    if held[2] != len(given):
        raise ValueError(
            f"{_FIRST} has shape {held} in it, which takes {held[2]} input channels, not {len(given)} "
            f"({','.join(given)}); name them in their order with --unet_weights_modalities"
        )
    missing = [name for name in modalities if name not in given and _own(name) not in given]
    if missing:
        raise ValueError(
            f"it was trained on {','.join(given)}, not on {','.join(missing)}, which --modalities asks for; leave that "
            "out or give the channels' names in their order with --unet_weights_modalities"
        )
