"""Flags of the stages that prepare slices, share_slices and prepare_slices."""

from __future__ import annotations

from rembrandt_featgen.cohort.reading_choice import AS_STORED, GEOMETRIES, SLICE_AXES, Reading, parse_spacing
from rembrandt_featgen.cohort.spacing import CHOICES, check_resampling, judge
from rembrandt_featgen.core import cli
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data.preparation import CROPS, FITS, NORMALISATIONS
from rembrandt_featgen.data.preparation_choice import AUTO, Request


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


def geometry():
    """--geometry."""
    return cli.flag(
        AS_STORED.geometry,
        "What is done with an image or a mask that lies elsewhere in space than the patient's first image, by the "
        "corners in mm: 'refuse'; 'resample' it onto the grid of the first; 'voxels' takes its voxels for those of the "
        "first, one by one, where its header is wrong.",
        choices=GEOMETRIES,
    )


def slice_axis():
    """--slice_axis."""
    return cli.flag(
        AS_STORED.slice_axis,
        "The plane of the slices; 'auto' is that in which each volume was acquired: across the axis of the thickest "
        "voxels, where these are 1.5 times the next, else axial.",
        choices=SLICE_AXES,
    )


def new_geometry():
    """--geometry of new patients."""
    return cli.flag(
        AUTO,
        "What is done with an image that lies elsewhere in space than the patient's first: 'refuse', 'resample' or "
        "'voxels', as in prepare_slices; 'auto' resamples where the training patients' were, else refuses.",
        choices=(AUTO, *GEOMETRIES),
    )


def spacing():
    """--spacing."""
    return cli.flag(
        (),
        "Spacing that all volumes are resampled to as they are read: mm along the rows and columns of a slice and "
        "between slices, such as 1,1,5; by default each stays as it is.",
    )


def trust_spacing():
    """--trust_spacing."""
    return cli.flag(
        AUTO,
        "Whether the files' voxel spacing is real, so that mm and ml mean something; 'auto' doubts 1 x 1 x 1 mm in all "
        "files, unless volumes are as high as a head.",
        choices=CHOICES,
    )


def request(config, *, normalise: str = AUTO, slices_in: int = 1) -> Request:
    """How the volumes of a stage that has these flags are read and prepared; InputError where flags are wrong.

    Args:
      config: of the stage.
      normalise, slices_in: of its flags, if it has them; nothing that others say rests on them.
    """
    if getattr(config, "trust_spacing", "") == "no":  # said before any volume is read
        check_resampling(config.spacing, judge((), (), "no"))
    return Request(
        modalities=config.modalities,
        normalise=normalise,
        crop=config.crop,
        fit=config.fit,
        size=config.image_size,
        slices_in=slices_in,
        reading=Reading(config.geometry, config.slice_axis, parse_spacing(config.spacing)),
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
