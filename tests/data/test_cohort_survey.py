"""What is read of patients for the report of a cohort, against what was written into their files."""

import json
import zlib

import numpy as np
import pytest
from scipy import ndimage

from rembrandt_featgen.cohort import duplicates, layouts, volumes
from rembrandt_featgen.cohort.reading_choice import Reading
from rembrandt_featgen.core import json_files
from rembrandt_featgen.data import cohort_survey, patient_survey
from rembrandt_featgen.data.patient_survey import PatientSurvey
from rembrandt_featgen.data.preparation_choice import Request

SHAPE = (20, 24, 6)  # x, y, slices
HEADER = "patient,label,site,mask,flair\n"


def write(folder, name, *, scale=1.0, side=4, spacing=(1.0, 2.0, 5.0), seed=None):
    """A head of mean 100 with a texture of each patient, and a tumour of side x side voxels in the slices 3 and 4."""
    random = np.random.default_rng(zlib.crc32(name.encode()) if seed is None else seed)
    image = random.uniform(0, 4, SHAPE)
    x, y = np.meshgrid(np.arange(SHAPE[0]), np.arange(SHAPE[1]), indexing="ij")
    centre, radii = random.uniform(9, 12, 2), random.uniform(8, 10, 2)
    inside = ((x - centre[0]) / radii[0]) ** 2 + ((y - centre[1]) / radii[1]) ** 2 < 1
    texture = ndimage.zoom(random.uniform(50, 150, (5, 6, 3)), 4)[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    image[inside] += texture[inside]
    mask = np.zeros(SHAPE, np.uint8)
    mask[8 : 8 + side, 8 : 8 + side, 2:4] = 1
    mask[8 : 8 + side, 8, 4] = 1
    affine = np.diag([*spacing, 1.0])
    volumes.write_new(folder / f"{name}_flair.nii.gz", (image * scale).astype(np.float32), affine)
    volumes.write_new(folder / f"{name}_seg.nii.gz", mask, affine)
    return image * scale, mask


def manifest(folder, rows):
    """A manifest of (patient, label, site)."""
    lines = [f"{name},{label},{site},{name}_seg.nii.gz,{name}_flair.nii.gz\n" for name, label, site in rows]
    (folder / "manifest.csv").write_text(HEADER + "".join(lines))
    return layouts.find_cohort(folder / "manifest.csv")


def request(**changes):
    given = {"normalise": "auto", "crop": "none", "fit": "crop", "size": 32, "slices_in": 1}
    return Request(("flair",), **{**given, **changes})


def surveyed(cohort, folder, **changes):
    return cohort_survey.survey_cohort(cohort, request(**changes), journal=folder / "journal.jsonl")


@pytest.fixture
def three(tmp_path):
    """Three patients, of whom the file of the second is cut off."""
    written = {name: write(tmp_path, name) for name in ("P1", "P2", "P3")}
    path = tmp_path / "P2_flair.nii.gz"
    path.write_bytes(path.read_bytes()[:500])
    return manifest(tmp_path, [("P1", "LGG", "A"), ("P2", "HGG", "A"), ("P3", "HGG", "B")]), written


def test_what_was_written_is_what_is_read(three, tmp_path):
    cohort, written = three
    first, second, third = surveyed(cohort, tmp_path)
    image, mask = written["P1"]
    assert (first.patient, first.label, first.group, first.site, first.problem) == ("P1", "LGG", "P1", "A", "")
    assert (first.shape, first.spacing) == ((6, 24, 20), (5.0, 2.0, 1.0))
    assert (first.tumour_voxels, first.tumour_slices, first.largest_slice) == (int(mask.sum()), 3, 3)
    # by hand: of what is brighter than the mean
    above, values = image[image > image.mean()], first.intensities["flair"]
    np.testing.assert_allclose([values["q50"], values["q95"]], np.quantile(above, [0.5, 0.95]), atol=0.2)
    assert values["share"] == pytest.approx(len(above) / image.size, abs=1e-3)
    assert values["lowest"] == pytest.approx(image.min(), abs=0.5)
    # rows are 2 mm apart, columns 1 mm: pictures are as high as heads
    np.testing.assert_array_equal(first.picture.mask, mask[:, :, 2].T[::-1, ::-1].repeat(2, 0))
    assert first.picture.greys.shape == (1, 48, 20) and first.picture.greys.max() > 200
    assert "P2_flair.nii.gz" in second.problem and "--cohort" in second.problem and not second.shape
    assert third.problem == "" and third.same == ()


def test_what_slices_cut_off_is_measured_where_they_are_cut(three, tmp_path):
    cohort, written = three
    assert [one.content_cut for one in surveyed(cohort, tmp_path)] == [0, 0, 0]  # 24 x 20 pixels fit into 32 x 32
    (tmp_path / "journal.jsonl").unlink()
    first, second, third = surveyed(cohort, tmp_path, size=16)
    image, mask = written["P1"]
    rows = np.arange(24)[::-1]  # as displayed: y upside down; 4 above and 4 below, 2 at either side are cut
    inside = np.zeros(SHAPE[:2], bool)
    inside[2:18, rows[4:20]] = True
    above = image > image.mean()
    assert first.content_cut == pytest.approx(above[~inside].sum() / above.sum(), abs=1e-4) and first.content_cut > 0.01
    assert first.tumour_cut == pytest.approx(mask[~inside].sum() / mask.sum())
    said = cohort_survey.warnings([first, third], cohort, request(size=16))
    assert (
        sum("of the head or body of 2 of 2 patients is cut off by --image_size=16 --crop=none" in s for s in said) == 1
    )
    (tmp_path / "journal.jsonl").unlink()
    assert [one.content_cut for one in surveyed(cohort, tmp_path, size=16, fit="resize")] == [0, 0, 0]


def test_volumes_are_read_as_the_request_says(three, tmp_path):
    cohort, _ = three
    found = surveyed(cohort, tmp_path, reading=Reading(slice_axis="sagittal"))[0]
    assert (found.shape, found.spacing) == ((20, 6, 24), (1.0, 5.0, 2.0))
    assert found.plane == "sagittal"
    assert (found.file_shape, found.file_spacing) == (SHAPE, (1.0, 2.0, 5.0))


def test_a_row_gives_the_survey_back(three, tmp_path):
    for found in surveyed(three[0], tmp_path):
        again = PatientSurvey.of_row(json.loads(json.dumps(json_files.plain(found.row))))
        assert again.record == found.record
        np.testing.assert_array_equal(again.fingerprint, found.fingerprint)
        if found.picture is not None:
            np.testing.assert_array_equal(again.picture.mask, found.picture.mask)
            np.testing.assert_array_equal(again.picture.greys, found.picture.greys)


def test_patients_who_are_done_are_not_read_again(three, tmp_path, monkeypatch):
    cohort, _ = three
    before = surveyed(cohort, tmp_path)
    journal = tmp_path / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[:2]) + lines[2][:50])  # killed while it wrote of the third
    read = []
    survey = patient_survey.survey
    monkeypatch.setattr(cohort_survey, "survey", lambda one, asked: read.append(one.id) or survey(one, asked))
    assert [one.record for one in surveyed(cohort, tmp_path)] == [one.record for one in before]
    assert read == ["P3"]


def report(cohort, folder, trust="auto"):
    found = surveyed(cohort, folder)
    return cohort_survey.report(found, cohort, request(), source="here", trust_spacing=trust)


def test_report(three, tmp_path):
    cohort, written = three
    found = json_files.plain(report(cohort, tmp_path))
    assert found["cohort"] == {
        "source": "here",
        "layout": "manifest",
        "table": "",
        "notes": [],
        "noun": "patients",
        "patients": {"HGG": 2, "LGG": 1},
        "groups": None,
        "groups_noun": "",
        "sites": {"A": {"HGG": 1, "LGG": 1}, "B": {"HGG": 1, "LGG": 0}},
    }
    assert [one["patient"] for one in found["problems"]] == ["P2"]
    assert found["sizes"]["axes"]["rows"] == {
        "size": {"low": 24, "middle": 24, "high": 24},
        "mm": {"low": 2, "middle": 2, "high": 2},
    }
    assert found["sizes"]["forms"] == [{"shape": [6, 24, 20], "spacing": [5, 2, 1], "patients": 2}]
    ml = written["P1"][1].sum() * 10 / 1000
    assert found["tumours"]["unit"] == "ml"
    assert found["tumours"]["classes"]["LGG"] == pytest.approx(
        {"patients": 1, "empty": 0, "low": ml, "middle": ml, "high": ml}
    )
    assert found["patients"][0]["tumour_ml"] == pytest.approx(ml)
    assert found["verdict"].startswith("3 patients (HGG: 2, LGG: 1) of 2 sites; 1 of them cannot be used; ")
    unknown = report(cohort, tmp_path, trust="no")
    assert unknown["tumours"]["unit"] == "voxels" and unknown["patients"][0]["tumour_ml"] is None


def cohort_of(folder, count=10, **changes):
    """Patients of two classes and two sites, crossed; `changes` of `write` by patient."""
    rows = [(f"P{n:02}", ("LGG", "HGG")[n % 2], "AB"[n // 2 % 2]) for n in range(2 * count)]
    for name, _, _ in rows:
        write(folder, name, **changes.get(name, {}))
    return manifest(folder, rows)


def test_a_plain_cohort_gives_no_warning_and_each_oddity_one(tmp_path):
    plain = cohort_of(tmp_path)
    assert cohort_survey.warnings(surveyed(plain, tmp_path), plain, request()) == []
    odd = {name: {"scale": 1000.0} for name in (one.id for one in plain.patients if one.site == "B")}
    odd["P00"] = {"side": 0}
    odd["P01"] = {"spacing": (1.0, 9.0, 5.0)}
    odd["P04"] = {"seed": 7, "scale": 3.0}
    odd["P08"] = {"seed": 7}
    (tmp_path / "journal.jsonl").unlink()
    changed = cohort_of(tmp_path, **odd)
    said = cohort_survey.warnings(surveyed(changed, tmp_path), changed, request())
    assert [
        [word in line for line in said].count(True) for word in ("P04 and P08 hold", "rows 2 mm apart", "thick axis")
    ] == [
        1,
        1,
        1,
    ]
    assert (
        sum("flair of site B is" in line for line in said)
        == sum("1 patient (P00): the mask" in line for line in said)
        == 1
    )
    assert len(said) == 5


def test_the_thinned_fingerprint_is_that_of_the_whole_volume():
    random = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, size) for size in (50, 200, 260)), indexing="ij"))
    image = sum(np.sin(grid[axis] * random.uniform(2, 9) + random.uniform(0, 6)) for axis in range(3)).astype(
        np.float32
    )
    image += random.normal(0, 0.1, image.shape).astype(np.float32)
    thinned = patient_survey._fingerprint(image, float(image.min()), float(image.max()))
    whole = duplicates.fingerprint(np.moveaxis(image, 0, 2))
    assert thinned @ whole > 0.999


def test_a_tumour_that_is_small_in_a_large_slice_is_still_outlined():
    mask = np.zeros((640, 480), bool)
    mask[100:102, 50:52] = True
    image = np.ones((640, 480, 2), np.float32)
    picture = patient_survey._picture(image, mask, bounds=[(0.0, 1.0), (0.0, 2.0)], steps=(1.0, 1.0))
    assert picture.greys.shape == (2, 160, 120)
    assert (picture.greys[0] == 255).all() and (np.abs(picture.greys[1] - 127.5) < 1).all()
    assert 1 <= picture.mask.sum() <= 9 and picture.mask[25, 12]


def test_modalities_that_are_copies_are_named():
    image = np.random.default_rng(0).normal(size=(3, 8, 8, 3)).astype(np.float32)
    assert patient_survey._same(image, ("a", "b", "c")) == ()
    image[..., 2] = image[..., 0]
    assert patient_survey._same(image, ("a", "b", "c")) == ("a", "c")


def test_visits_are_counted_as_visits(tmp_path):
    rows = [("UPENN-GBM-00001_11", "LGG", ""), ("UPENN-GBM-00001_21", "LGG", ""), ("UPENN-GBM-00002_11", "HGG", "")]
    for name, _, _ in rows:
        write(tmp_path, name)
    found = report(manifest(tmp_path, rows), tmp_path)
    assert found["verdict"].startswith("3 visits of 2 patients (HGG: 1, LGG: 2); ")
    assert (found["cohort"]["noun"], found["cohort"]["groups"], found["cohort"]["groups_noun"]) == (
        "visits",
        2,
        "patients",
    )


def test_spacings_that_differ_by_rounding_are_one(tmp_path):
    for name, step in (("P1", 0.9375), ("P2", 0.937499), ("P3", 0.95)):
        write(tmp_path, name, spacing=(step, step, 5.0))
    cohort = manifest(tmp_path, [("P1", "LGG", ""), ("P2", "HGG", ""), ("P3", "HGG", "")])
    assert [form["patients"] for form in report(cohort, tmp_path)["sizes"]["forms"]] == [2, 1]


def test_what_geometry_put_right_is_said(tmp_path):
    for name in ("P1", "P2"):
        write(tmp_path, name)
    path = tmp_path / "P2_seg.nii.gz"
    shifted = np.diag([1.0, 2.0, 5.0, 1.0])
    shifted[0, 3] = 3.0
    volumes.write_new(path, volumes.read_volume(path).voxels.astype(np.uint8), shifted)
    cohort = manifest(tmp_path, [("P1", "LGG", ""), ("P2", "HGG", "")])
    for geometry, how in (
        ("resample", "resampled, corners 3 mm away"),
        ("voxels", "taken by its voxels, by its header"),
    ):
        (tmp_path / "journal.jsonl").unlink(missing_ok=True)
        found = surveyed(cohort, tmp_path, reading=Reading(geometry))
        assert [one.problem for one in found] == ["", ""]
        (said,) = [line for line in cohort_survey.warnings(found, cohort, request()) if "--geometry" in line]
        assert "1 patient with files that lie elsewhere than the first image" in said
        assert f"(P2: P2_seg.nii.gz {how}" in said and "3 mm" in said
    (tmp_path / "journal.jsonl").unlink()
    assert "--geometry=resample" in surveyed(cohort, tmp_path)[1].problem
