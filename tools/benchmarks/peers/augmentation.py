"""Table 1 by MONAI, TorchIO, batchgenerators and albumentations.

All resample the image linearly and the mask to the nearest. Where a package has a way to make the elastic field cheaper
than smoothing noise of full size (control points, approximate smoothing), the fastest way counts.
"""

from __future__ import annotations

import math

import numpy as np

from benchmarks import turns
from benchmarks.peers import slicewise

ANGLE = 20.0  # degrees
DISPLACEMENT = 4.9  # pixels: the standard deviation of the field of alpha 720 and sigma 24
SPACING = 24  # pixels between control points


def monai(options: dict) -> turns.Work:
    """A side: flips, then elastic and affine in one resampling (Rand2DElastic)."""
    import torch
    from monai import transforms
    from monai.data import set_track_meta

    images, masks = (x.transpose(0, 3, 1, 2) for x in slicewise.slices(options["slices"], options["size"]))
    keys, size = ["image", "mask"], options["size"]
    compose = transforms.Compose(
        [
            transforms.RandFlipd(keys, prob=0.5, spatial_axis=0),
            transforms.RandFlipd(keys, prob=0.5, spatial_axis=1),
            transforms.Rand2DElasticd(
                keys,
                spacing=SPACING,
                magnitude_range=(DISPLACEMENT, DISPLACEMENT),
                prob=1.0,
                rotate_range=math.radians(ANGLE),
                shear_range=(0.0, 0.05),
                translate_range=0.10 * size,
                scale_range=0.10,
                mode=("bilinear", "nearest"),
                padding_mode="zeros",
            ),
        ]
    )
    set_track_meta(False)  # plain tensors, without the cost of recorded metadata
    compose.set_random_state(0)

    def one(index):
        found = compose({"image": images[index], "mask": masks[index]})
        return np.asarray(found["image"]), np.asarray(found["mask"])

    return turns.Work(*turns.fastest(slicewise.ways(one, options["slices"], torch.set_num_threads)))


def torchio(options: dict) -> turns.Work:
    """A side: flips, elastic and affine as TorchIO has them, on volumes of one slice; it has no shear."""
    import torch
    import torchio as tio

    images, masks = slicewise.slices(options["slices"], options["size"])
    images, masks = (torch.from_numpy(x.transpose(0, 3, 1, 2)[..., None]) for x in (images, masks))
    points = max(4, options["size"] // SPACING + 1)  # it takes no fewer
    shift = 0.10 * options["size"]
    compose = tio.Compose(
        [
            tio.RandomFlip((0, 1)),
            tio.RandomElasticDeformation((points, points, 4), (2 * DISPLACEMENT, 2 * DISPLACEMENT, 0), 0),
            tio.RandomAffine((0.9, 1.1, 0.9, 1.1, 1.0, 1.0), (0, 0, 0, 0, -ANGLE, ANGLE), (-shift, shift) * 2 + (0, 0)),
        ]
    )

    def one(index):
        subject = tio.Subject(image=tio.ScalarImage(tensor=images[index]), mask=tio.LabelMap(tensor=masks[index]))
        found = compose(subject)
        return found["image"].data.numpy(), found["mask"].data.numpy()

    return turns.Work(*turns.fastest(slicewise.ways(one, options["slices"], torch.set_num_threads)))


def batchgenerators(options: dict) -> turns.Work:
    """A side: mirror and spatial transform, field smoothed at full size or of low resolution; no shear, no shift."""
    from batchgenerators.transforms import spatial_transforms as spatial

    images, masks = (x.transpose(0, 3, 1, 2) for x in slicewise.slices(options["slices"], options["size"]))
    size, angle = (options["size"],) * 2, math.radians(ANGLE)
    common = {
        "do_rotation": True,
        "angle_x": (-angle, angle),
        "scale": (0.9, 1.1),
        "border_mode_data": "constant",
        "order_data": 1,
        "order_seg": 0,
        "random_crop": False,
    }
    fields = {
        "smoothed": spatial.SpatialTransform(size, alpha=(720.0, 720.0), sigma=(24.0, 24.0), **common),
        "low resolution": spatial.SpatialTransform_2(size, deformation_scale=(0.1, 0.1), **common),
    }
    mirror = spatial.MirrorTransform((0, 1))
    ways: dict = {}
    for field, transform in fields.items():

        def one(index, transform=transform):
            found = transform(data=images[index : index + 1], seg=masks[index : index + 1])
            found = mirror(**found)
            return found["data"], found["seg"]

        ways |= {f"{field}, {name}": way for name, way in slicewise.ways(one, options["slices"]).items()}
    return turns.Work(*turns.fastest(ways))


def albumentations(options: dict) -> turns.Work:
    """A side: flips, elastic distortion (exact or approximate smoothing), then one affine map for the rest."""
    import albumentations as A
    import cv2

    images, masks = slicewise.slices(options["slices"], options["size"])
    ways: dict = {}
    for smoothing, approximate in {"approximate smoothing": True, "exact smoothing": False}.items():
        affine = {"rotate": (-ANGLE, ANGLE), "scale": (0.9, 1.1), "translate_percent": (-0.1, 0.1)}
        compose = A.Compose(
            [
                A.HorizontalFlip(p=0.5),
                A.VerticalFlip(p=0.5),
                A.ElasticTransform(720, 24, approximate=approximate, noise_distribution="uniform", p=1.0),
                A.Affine(**affine, shear={"x": (-2.9, 2.9), "y": (0, 0)}, p=1.0),  # 2.9 degrees are 5%
            ]
        )

        def one(index, compose=compose):
            found = compose(image=images[index], mask=masks[index])
            return found["image"], found["mask"]

        found = slicewise.ways(one, options["slices"], cv2.setNumThreads)
        ways |= {f"{smoothing}, {name}": way for name, way in found.items()}
    return turns.Work(*turns.fastest(ways))
