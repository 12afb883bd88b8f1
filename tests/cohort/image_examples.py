"""Images that tests write, in formats that nibabel does not know: by SimpleITK, which places them in LPS."""

import nibabel as nib
import numpy as np
import SimpleITK

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_SLOPE = b"\x28\x00\x53\x10\x02\x00\x00\x001 "  # (0028,1053) of 1
# Oblique, of unequal spacing: nothing that is turned, flipped or transposed looks the same.
OBLIQUE = nib.affines.from_matvec(nib.eulerangles.euler2mat(0.3, -0.2, 0.4) @ np.diag([-1.1, -1.2, 5.0]), (30, -40, 12))


def voxels(shape=(6, 5, 4), dtype=np.int16):
    """Distinct values of any shape [x, y, z, ...]."""
    return (np.arange(np.prod(shape)).reshape(shape) * 7 + 3).astype(dtype)


def itk_image(array, affine=OBLIQUE, components=False):
    """An image of SimpleITK of an array [x, y, z] (or [x, y, z, components]) that lies where `affine` (RAS) says."""
    axes = [2, 1, 0, 3] if components else range(array.ndim)[::-1]
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(array.transpose(*axes)), isVector=components)
    placed = LPS @ affine
    spacing = np.linalg.norm(placed[:3, :3], axis=0)
    image.SetSpacing(spacing)
    image.SetOrigin(placed[:3, 3])
    image.SetDirection((placed[:3, :3] / spacing).ravel())
    return image


def write_itk(path, array, affine=OBLIQUE, **kwargs):
    """Writes an array as .mha, .nrrd ... and returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    SimpleITK.WriteImage(itk_image(array, affine, **kwargs), str(path))
    return path


def write_series(folder, array, affine=OBLIQUE, *, seed=0, series="1.2.826.0.1.1", slope=None, **tags):
    """Writes [x, y, z] as a DICOM series whose file names are in no order.

    Args:
      folder: it is made.
      array: int16.
      affine: [4, 4] in RAS, orthogonal.
      seed: of the names.
      series: UID of the series.
      slope: of the rescaling, of at most four letters; None for none.
      tags: others, as g0008_103e="FLAIR".

    Returns:
      The files in the order of the slices.
    """
    folder.mkdir(parents=True, exist_ok=True)
    image = itk_image(array, affine)
    direction = np.array(image.GetDirection()).reshape(3, 3)
    names = np.random.default_rng(seed).permutation(array.shape[2])
    writer = SimpleITK.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    files = []
    for number in range(array.shape[2]):
        one = image[:, :, number]
        place = image.TransformIndexToPhysicalPoint((0, 0, number))
        known = {
            "0008|0016": "1.2.840.10008.5.1.4.1.1.4",
            "0008|0018": f"{series}.{number + 1}",
            "0008|0060": "MR",
            "0010|0010": "DOE^JANE",
            "0010|0020": "PATIENT-1",
            "0020|000d": f"{series}.0",
            "0020|000e": series,
            "0020|0013": str(number + 1),
            "0020|0032": "\\".join(f"{value:.6f}" for value in place),
            "0020|0037": "\\".join(f"{value:.8f}" for value in direction.T[:2].ravel()),
            "0018|0050": f"{image.GetSpacing()[2]:.4f}",
            **({"0028|1053": "1", "0028|1052": "0"} if slope else {}),
            **{name[1:].replace("_", "|"): value for name, value in tags.items()},
        }
        for tag, value in known.items():
            one.SetMetaData(tag, value)
        files.append(folder / f"IM{names[number]:04d}")
        writer.SetImageIO("GDCMImageIO")
        writer.SetFileName(str(files[-1]))
        writer.Execute(one)
        if slope:  # which GDCM would write as an integer
            data, text = files[-1].read_bytes(), str(slope).encode().ljust(4)
            assert data.count(_SLOPE) == 1
            files[-1].write_bytes(data.replace(_SLOPE, _SLOPE[:4] + bytes([4, 0, 0, 0]) + text))
    return files
