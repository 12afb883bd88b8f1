"""Slices on disk, against what went into the files: files that lie apart, planes, spacings, what is cut off."""

import dataclasses
import json

import nibabel as nib
import numpy as np
import pytest

from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data.store import Store
from rembrandt_featgen.stages import assign_folds, prepare_slices, report_cohort, share_slices

SIZE = (32, 32, 16)
PLACE = nib.affines.from_matvec(np.diag([-1.0, -1.0, 1.0]), (20, 12, -5))  # left, posterior, superior
LABELS = {f"P{number}": "HGG" if number % 2 else "LGG" for number in range(6)}
CENTRE = np.array([4.5, -3.5, 2.5])  # of the volume, mm
WIDE = nib.affines.from_matvec(np.diag([-2.0, -2.0, 2.0]), CENTRE + (31, 31, -15))  # of voxels of 2 mm


def _about_centre(matrix):
    return nib.affines.from_matvec(matrix, CENTRE - matrix @ CENTRE) @ WIDE


MOVED = {
    "flipped": np.diag([2.0, 2.0, 2.0, 1.0]),
    "shifted": nib.affines.from_matvec(np.eye(3), (30, 0, 0)) @ WIDE,
    "rotated": _about_centre(nib.eulerangles.euler2mat(np.deg2rad(2), 0, 0)),
    "scaled": _about_centre(np.diag([1.05, 1.05, 1.05])),
}


def _mm(shape, affine):
    return nib.affines.apply_affine(affine, np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1))


def _flair(patient, places):
    """Intensities of a patient by places in mm, linear, so that interpolation is exact."""
    slope = np.random.default_rng(int(patient[1:])).uniform(-3, 3, 3)
    return (places - CENTRE) @ slope + 500


def _tumour(places):
    return np.linalg.norm(places - CENTRE - (5, 0, 1), axis=-1) < 5


def _cohort(folder, *, place=PLACE, second=PLACE, shape=SIZE, labels=LABELS):
    """A manifest of patients: flair at `place`, and of the same head t1 = 2 flair and the mask at `second`.

    Where `second` is "lost", voxels of t1 and mask are those at `place`, with another affine.
    """
    affine, says = (place, np.eye(4)) if isinstance(second, str) else (second, second)
    rows = ["patient,label,mask,flair,t1"]
    for patient, label in labels.items():
        files = {
            "mask": (_tumour(_mm(shape, affine)).astype(np.uint8), says),
            "flair": (_flair(patient, _mm(shape, place)).astype(np.float32), place),
            "t1": ((2 * _flair(patient, _mm(shape, affine))).astype(np.float32), says),
        }
        for name, (array, written) in files.items():
            nib.save(nib.Nifti1Image(array, written), folder / f"{patient}_{name}.nii.gz")
        rows.append(",".join([patient, label, *(f"{patient}_{name}.nii.gz" for name in files)]))
    (folder / "cohort.csv").write_text("\n".join(rows) + "\n")
    return folder / "cohort.csv"


def _figures(folder, cohort, **settings):
    """Prepares slices; what stage.json says."""
    fixed = {"image_size": 32, "normalise": "cohort", "validation_fraction": 0.3, "test_fraction": 0.3}
    prepare_slices.run(prepare_slices.Config(str(folder), str(cohort), **{**fixed, **settings}))
    return json.loads((folder / "slices" / "stage.json").read_text())["figures"]


def _prepared(folder, cohort, **settings):
    """The same, and of each patient raw images [slices, size, size, channels] and masks as they were written."""
    figures, found = _figures(folder, cohort, **settings), {}
    for record in Store(folder / "slices", "volumes").dataset().as_numpy_iterator():
        patient = record["patient"].decode()
        assert record["label"] == (LABELS[patient] == "HGG")
        images, masks = found.setdefault(patient, ([], []))
        images.append(record["image"])
        masks.append(record["mask"][..., 0])
    split = json.loads((folder / "slices" / "split.json").read_text())
    assigned = {patient: label for part in split.values() for label, ids in part.items() for patient in ids}
    assert assigned == LABELS
    assert set(found) == set(LABELS)
    return figures, {patient: (np.array(images), np.array(masks)) for patient, (images, masks) in found.items()}


def _shown(shape, affine):
    """[slices, height, width, 3] mm of the voxels of axial slices as displayed, of a file lying left, posterior, up."""
    return _mm(shape, affine).transpose(2, 1, 0, 3)  # rows run to the back, columns to the left


@pytest.mark.parametrize("how", MOVED)
def test_files_that_lie_apart_are_refused(how, tmp_path):
    cohort = _cohort(tmp_path, place=WIDE, second=MOVED[how])
    for modalities, name in ((("flair",), "mask"), (("flair", "t1"), "t1")):
        with pytest.raises(InputError) as caught:
            _prepared(tmp_path / "run", cohort, modalities=modalities)
        message = str(caught.value)
        assert len(message.splitlines()) == 1
        for word in (f"P0_{name}.nii.gz", "P0_flair.nii.gz", "--cohort", " mm ", "--geometry=resample"):
            assert word in message
        assert not (tmp_path / "run" / "slices").exists()


@pytest.mark.parametrize("how", MOVED)
def test_files_that_lie_apart_are_resampled(how, tmp_path):
    """On disk all is where it is in the patient, wherever the other files' grids reach."""
    cohort = _cohort(tmp_path, place=WIDE, second=MOVED[how])
    figures, found = _prepared(tmp_path / "run", cohort, modalities=("flair", "t1"), geometry="resample")
    assert figures["reading"] == {"geometry": "resample", "slice_axis": "axial", "spacing": []}
    places = _shown(SIZE, WIDE)
    inside = nib.affines.apply_affine(np.linalg.inv(MOVED[how]), places)
    inside = ((inside > -1e-6) & (inside < np.array(SIZE) - 1 + 1e-6)).all(-1)
    assert inside.any()
    for patient, (images, masks) in found.items():
        flair = _flair(patient, places)
        np.testing.assert_allclose(images[..., 0], flair, atol=0.01)
        np.testing.assert_allclose(images[..., 1][inside], 2 * flair[inside], atol=0.02)
        wrong = (masks.astype(bool) != _tumour(places)) & inside
        assert wrong.sum() < 0.35 * _tumour(places).sum()  # at its surface, by the nearest neighbour
        assert masks.any() or (_tumour(places) & inside).sum() < 5


def test_an_affine_that_was_lost_is_ignored(tmp_path):
    cohort = _cohort(tmp_path, second="lost")
    with pytest.raises(InputError, match="--geometry=voxels takes its voxels for those of the other"):
        _prepared(tmp_path / "run", cohort)
    _, found = _prepared(tmp_path / "run", cohort, modalities=("flair", "t1"), geometry="voxels")
    places = _shown(SIZE, PLACE)
    for patient, (images, masks) in found.items():
        np.testing.assert_allclose(images[..., 0], _flair(patient, places), atol=0.01)
        np.testing.assert_allclose(images[..., 1], 2 * images[..., 0], atol=0.02)
        np.testing.assert_array_equal(masks, _tumour(places))


def test_slices_of_the_plane_that_was_acquired(tmp_path):
    """Sagittal series with slices 5 mm apart: their slices are sagittal again, and not 5 mm stripes."""
    shape, place = (8, 32, 32), PLACE @ np.diag([5.0, 1, 1, 1])
    cohort = _cohort(tmp_path, place=place, second=place, shape=shape)
    figures, found = _prepared(tmp_path / "run", cohort, slice_axis="auto")
    assert figures["familiarity"]["spacings"][0] == [5.0, 1.0, 1.0]
    # Left first; the top row is the highest, the left column the foremost. The file runs left, back, up.
    places = _mm(shape, place)[::-1].transpose(0, 2, 1, 3)[:, ::-1]
    for patient, (images, masks) in found.items():
        np.testing.assert_allclose(images[..., 0], _flair(patient, places), atol=0.01)
        np.testing.assert_array_equal(masks, _tumour(places))


def test_all_are_brought_to_one_spacing(tmp_path):
    cohort = _cohort(tmp_path)
    fine = PLACE @ np.diag([0.5, 0.5, 2.0, 1.0])
    places = _mm((64, 64, 8), fine)
    for name, array in {"flair": _flair("P0", places), "mask": _tumour(places)}.items():
        nib.save(nib.Nifti1Image(array.astype(np.float32), fine), tmp_path / f"P0_{name}.nii.gz")
    figures, found = _prepared(tmp_path / "run", cohort, spacing=("1", "1", "2"), trust_spacing="yes")
    low, high = figures["familiarity"]["spacings"]
    np.testing.assert_allclose([low, high], [[2, 1, 1]] * 2)
    for patient, (images, masks) in found.items():
        assert images.shape == (8, 32, 32, 1)
        # Centres of slices lie half-way between those of the files: at the same places for all, to half a voxel.
        flair = _flair(patient, _shown((32, 32, 8), PLACE @ np.diag([1, 1, 2, 1.0])))
        slope = np.abs(np.random.default_rng(int(patient[1:])).uniform(-3, 3, 3))
        assert np.abs(images[1:-1, 2:-2, 2:-2, 0] - flair[1:-1, 2:-2, 2:-2]).max() <= slope @ (0.5, 0.5, 1) + 0.01
        assert masks.sum() == pytest.approx(4 / 3 * np.pi * 5**3 / 2, rel=0.2)


def test_spacing_that_is_not_known_is_not_resampled(tmp_path):
    cohort = _cohort(tmp_path)
    with pytest.raises(InputError, match=r"--spacing=1,1,2 resamples by .* not known: all files say 1 x 1 x 1 mm"):
        _prepared(tmp_path / "run", cohort, spacing=("1", "1", "2"))
    config = report_cohort.Config(str(tmp_path / "run"), str(cohort), classes=("LGG", "HGG"), spacing=("1", "1", "2"))
    for _ in range(2):  # again, of the report that is there
        with pytest.raises(InputError, match=r"--spacing=1,1,2 resamples by .* not known: all files say 1 x 1 x 1 mm"):
            report_cohort.run(config)
    with pytest.raises(InputError, match=r"--spacing=1,1,2 resamples by .* not known: --trust_spacing=no says so"):
        report_cohort.run(dataclasses.replace(config, cohort=str(cohort), trust_spacing="no"))
    report_cohort.run(dataclasses.replace(config, trust_spacing="yes"))


def test_what_is_cut_off_is_measured(tmp_path):
    """512 x 512 x 20 at 0.45 mm, of which a crop of 240 shows the middle."""
    others = nib.affines.from_matvec(np.diag([-1.0, -1.0, 1.0]), CENTRE + (119.5, 119.5, -1))
    cohort, shape = _cohort(tmp_path, place=others, second=others, shape=(240, 240, 3)), (512, 512, 20)
    place = nib.affines.from_matvec(np.diag([-0.45, -0.45, 5.0]), (115, 115, -50))
    places = _mm(shape, place)
    head = np.linalg.norm(places[..., :2] / (80, 95), axis=-1) < 1
    tumour = np.linalg.norm(places - (50, 0, 0), axis=-1) < 15  # to the right, at the edge of the crop
    files = {"flair": np.where(head, 400.0, 0.0) + 50 * tumour, "mask": tumour.astype(float)}
    for name, array in files.items():
        nib.save(nib.Nifti1Image(array.astype(np.int16), place), tmp_path / f"P1_{name}.nii")
        cohort.write_text(cohort.read_text().replace(f"P1_{name}.nii.gz", f"P1_{name}.nii"))
    figures = _figures(tmp_path / "cut", cohort, image_size=240)
    middle = slice(136, 376)
    lost_head = 1 - head[middle, middle].sum() / head.sum()
    lost_tumour = 1 - tumour[middle, middle].sum() / tumour.sum()
    assert lost_head > 0.5
    assert 0.1 < lost_tumour < 0.9
    said = " ".join(figures["warnings"])
    flags = "--image_size=240 --crop=none --fit=crop"
    assert f"{lost_head:.0%} of the head or body of 1 of 6 patients is cut off by {flags} (median; most of P1" in said
    assert f"tumour of 1 of 6 patients is cut off by {flags}: P1 ({lost_tumour:.1%});" in said
    assert figures["tumour_cut_off"] == [f"P1 ({tumour.sum() - tumour[middle, middle].sum()} voxels)"]


def _fold(study, cohort, **settings):
    """Prepares the first fold of a study from its shared slices."""
    name = json.loads((study / "folds" / "stage.json").read_text())["figures"]["folds"][0]["name"]
    split = str(study / "folds" / f"{name}.json")
    where = {"split_file": split, "slices_from": str(study)}
    prepare_slices.run(prepare_slices.Config(str(study / "run"), str(cohort), **where, **settings))
    return json.loads((study / "run" / "slices" / "stage.json").read_text())["figures"]


def test_a_study_shares_slices_that_were_read_in_one_way(tmp_path):
    """Folds take what was read as they ask; shared slices of before there was a choice were read as they lie."""
    cohort, study = _cohort(tmp_path), tmp_path / "study"
    settings = {"cv_folds": 3, "cv_seeds": 1, "validation_fraction": 0.4}
    assign_folds.run(assign_folds.Config(str(study), str(cohort), **settings))
    coronal = {"image_size": 32, "slice_axis": "coronal"}
    share_slices.run(share_slices.Config(str(study), str(cohort), **coronal))
    with pytest.raises(InputError, match="was made with --slice_axis=coronal, not axial; give the same"):
        _fold(study, cohort, image_size=32)
    with pytest.raises(InputError, match=r"was made with --spacing=\[\], not \[1\.0, 1\.0, 2\.0\]; give the same"):
        _fold(study, cohort, spacing=("1", "1", "2"), **coronal)
    assert _fold(study, cohort, **coronal)["slices"] == {"HGG": 96, "LGG": 96}


def test_shared_slices_of_before(tmp_path):
    cohort, study = _cohort(tmp_path), tmp_path / "study"
    settings = {"cv_folds": 3, "cv_seeds": 1, "validation_fraction": 0.4}
    assign_folds.run(assign_folds.Config(str(study), str(cohort), **settings))
    share_slices.run(share_slices.Config(str(study), str(cohort), image_size=32))
    path = study / "shared_slices" / "stage.json"
    record = json.loads(path.read_text())
    for name in ("geometry", "slice_axis", "spacing"):
        record["config"].pop(name)
    path.write_text(json.dumps(record))
    assert _fold(study, cohort, image_size=32)["slices"] == {"HGG": 48, "LGG": 48}
