"""Volumes of public data sets, in their formats and names, become the slices, labels and splits that went in."""

import json
import zlib

import nibabel
import numpy as np
import pytest
import SimpleITK
import tifffile

from rembrandt_featgen.cohort import layouts, volumes
from rembrandt_featgen.data.slicing import as_displayed
from rembrandt_featgen.data.store import Store
from rembrandt_featgen.stages import assign_folds, prepare_slices
from tests.cohort import public_layouts

SHAPE = (32, 32, 3)
LPS = np.diag([-1.0, -1, 1, 1])  # what BraTS stores, here with the voxels where np.eye(4) has them
LPS[:2, 3] = 31


def image(name, what):
    """[x, y, slices] in RAS: a volume that no other looks like."""
    cells = np.random.default_rng(zlib.crc32(f"{name} {what}".encode())).integers(20, 200, (8, 8, 3))
    return np.kron(cells, np.ones((4, 4, 1), int)).astype(np.uint8)


def mask(name):
    """[x, y, slices] in {0, 1}: a box without any symmetry, in the two slices above the first."""
    drawn = np.random.default_rng(zlib.crc32(name.encode())).integers(4, 12, 2)
    found = np.zeros(SHAPE, np.uint8)
    found[drawn[0] : drawn[0] + 7, drawn[1] : drawn[1] + 4, 1:] = 1
    return found


def write(path, name, what):
    """Writes a file of a case of `public_layouts`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if what == "slices":
        path.mkdir()
        channels = [image(name, one) for one in ("t1", "flair", "t1ce")]
        for index in range(SHAPE[2]):
            # a picture's columns run to the patient's left, its rows to the back
            shown = np.stack([one[::-1, ::-1, index].T for one in channels], axis=-1)
            tifffile.imwrite(path / f"{name}_{index + 1}.tif", shown, photometric="rgb")
            tifffile.imwrite(path / f"{name}_{index + 1}_mask.tif", 255 * mask(name)[::-1, ::-1, index].T)
    elif what == "four":
        array = np.stack([image(name, one) for one in ("flair", "t1", "t1ce", "t2")], axis=-1)
        nibabel.save(nibabel.Nifti1Image(array[::-1, ::-1], LPS), path)
    else:
        array = mask(name) if what == "mask" else image(name, what)
        if path.suffix == ".mha":
            stored = SimpleITK.GetImageFromArray(array.transpose(2, 1, 0))
            stored.SetDirection(np.diag([-1.0, -1, 1]).ravel().tolist())  # its world is LPS
            SimpleITK.WriteImage(stored, str(path))
        else:
            nibabel.save(nibabel.Nifti1Image(array[::-1, ::-1], LPS), path)


@pytest.fixture(params=sorted(public_layouts.MAKERS))
def made(request, tmp_path):
    return public_layouts.make(request.param, tmp_path / "in" / "cohort", write)


def test_voxels_of_each_layout(made):
    found = layouts.find_cohort(
        made.cohort, modalities=("flair", "t1ce"), names=made.names, columns=made.columns, options=made.options
    )
    for patient in found.patients:
        read = volumes.read_volume(patient.images["flair"])
        np.testing.assert_array_equal(read.voxels, image(patient.id, "flair"))
        np.testing.assert_array_equal(volumes.read_volume(patient.images["t1ce"]).voxels, image(patient.id, "t1ce"))
        np.testing.assert_array_equal(volumes.read_placed_mask(patient.mask, read).voxels, mask(patient.id))


@pytest.mark.parametrize("layout", ["brats2013", "lgg_segmentation", "decathlon"])
def test_slices_labels_and_splits(tmp_path, layout):
    """Two visits a patient: in one split, in one fold, with the class and the mask that went in."""
    made = public_layouts.make(layout, tmp_path / "in" / "cohort", write)
    flags = {
        "run_dir": str(tmp_path / "run"),
        "cohort": str(made.cohort),
        "classes": made.names,
        "label_column": made.columns.label,
        "group_column": made.columns.group,
        "labels_table": made.options.labels_table,
    }
    shares = {"test_fraction": 0.25, "validation_fraction": 0.25}
    prepare_slices.run(prepare_slices.Config(**flags, **shares, image_size=32))
    split = json.loads((tmp_path / "run/slices/split.json").read_text())
    where = {name: part for part, classes in split.items() for names in classes.values() for name in names}
    assert {name: label for parts in split.values() for label, ids in parts.items() for name in ids} == made.labels
    assert len({(made.patients[name], part) for name, part in where.items()}) == 8
    classes = json.loads((tmp_path / "run/slices/stage.json").read_text())["classes"]["names"]
    for part in ("train", "validation", "test"):
        store = Store(tmp_path / "run/slices", part)
        assert {store.patients[row] for row in range(len(store))} == {name for name in where if where[name] == part}
        for row, record in enumerate(store.dataset().as_numpy_iterator()):
            name = store.patients[row]
            assert classes[store.labels[row]] == made.labels[name]
            index = store.slices[row]
            np.testing.assert_array_equal(record["mask"][..., 0], as_displayed(mask(name))[:, :, index])
            shown = as_displayed(image(name, "flair"))[:, :, index]
            assert np.corrcoef(record["image"].ravel(), shown.ravel())[0, 1] > 0.99  # normalised, and nothing else
    assign_folds.run(assign_folds.Config(**flags, cv_folds=4, cv_seeds=1, validation_fraction=0.3))
    for path in sorted((tmp_path / "run/folds").glob("repeat*.json")):
        fold = json.loads(path.read_text())
        pairs = {
            (made.patients[name], part)
            for part, classes in fold.items()
            for names in classes.values()
            for name in names
        }
        assert len(pairs) == 8
