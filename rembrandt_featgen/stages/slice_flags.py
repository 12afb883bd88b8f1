"""Flags of the stages that prepare slices, share_slices and prepare_slices."""

from __future__ import annotations

from rembrandt_featgen.core import cli
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data.preparation import CROPS, FITS, NORMALISATIONS
from rembrandt_featgen.data.preparation_choice import AUTO


def image_size():
    """--image_size."""
    return cli.flag(
        240,
        "Pixels along each side of a slice, a multiple of 16; with --fit=resize fewer where most volumes are smaller.",
        minimum=32,
        source="paper 3.5",
    )


def normalise():
    """--normalise."""
    return cli.flag(
        AUTO,
        "Intensities: 'cohort' takes off the mean of all training slices and divides by their standard deviation; "
        "'volume' clips each volume and z-scores it over its own foreground; 'auto' is 'cohort' for CT, else 'volume'.",
        choices=(AUTO, *NORMALISATIONS),
        source="paper 3.5: cohort",
    )


def crop():
    """--crop."""
    return cli.flag(
        "none",
        "Whether slices are cropped to the box of the head or body ('foreground') first; 'auto' is 'none' for CT, else "
        "'foreground'.",
        choices=(AUTO, *CROPS),
    )


def fit():
    """--fit."""
    return cli.flag(
        "crop",
        "What brings slices to --image_size: 'crop' cuts or pads around the centre; 'resize' shrinks what is larger, "
        "and pads the rest.",
        choices=FITS,
        source="paper 3.5",
    )


def slices_in():
    """--slices_in."""
    return cli.flag(
        1, "Slices that the U-Net sees at a time: 1, or 3 with the ones below and above as further channels.", minimum=1
    )


def check(image_size: int, slices_in: int) -> None:
    """InputError for values that cannot be met."""
    if image_size % 16:
        raise InputError(
            f"--image_size={image_size} must be a multiple of 16 (four poolings); "
            f"take {image_size // 16 * 16} or {(image_size // 16 + 1) * 16}"
        )
    if slices_in not in (1, 3):
        raise InputError(f"--slices_in={slices_in}: take 1, a slice alone, or 3, with the slices below and above it")
