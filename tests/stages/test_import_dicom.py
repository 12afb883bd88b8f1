"""From a DICOM download by import, prepare_slices and predict, compared with the arrays that were written into it."""

import csv
import json
import shutil

import nibabel as nib
import numpy as np
import pytest

from rembrandt_featgen.cohort import layouts
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data.store import Store
from rembrandt_featgen.stages import import_dicom, predict, prepare_slices
from tests import markers
from tests.cohort.image_examples import OBLIQUE, write_itk, write_series
from tests.stages.test_predict import Classifier, export

SHAPE = (24, 20, 20)
FLAIR = {"g0008_103e": "AX FLAIR", "g0018_0080": "9000", "g0018_0081": "120", "g0018_0082": "2250"}
# Name, birth, physician, institution, station, study and series in words, comments, a private block.
PLANTED = {"g0010_0010": "QUILLFEATHER^ZYXOMMA", "g0010_0030": "19310719", "g0008_0090": "HARROWGATE^A"}
PLANTED |= {"g0008_0080": "Ulverscroft Infirmary", "g0008_1010": "Oswaldkirk3T", "g0008_1030": "Thistlewhit follow-up"}
PLANTED |= {"g0010_4000": "Lowther-Pinkerton", "g0009_0010": "Mompesson private", "g0020_4000": "Cholmondeley said so"}
WORDS = ("quillfeather", "zyxomma", "19310719", "harrowgate", "ulverscroft", "oswaldkirk", "thistlewhit", "lowther")
WORDS += ("mompesson", "cholmondeley", "HF13", "1999", "DOE")
PATIENTS = {f"HF{1300 + number}": ("II" if number % 2 else "IV") for number in range(6)}


def _array(patient):
    """Oblique slices, with a tumour from slice 5 to 14."""
    array = np.random.default_rng(int(patient[2:])).integers(20, 200, SHAPE)
    array[8:14, 6:12, 5:15] += 300
    return array.astype(np.int16)


@pytest.fixture(scope="module")
def download(tmp_path_factory):
    """Six patients, the first with a second visit; masks and grades beside."""
    folder = tmp_path_factory.mktemp("download")
    for number, patient in enumerate(PATIENTS):
        tags = {"g0010_0020": patient, "g0008_0020": "19990101", **FLAIR, **PLANTED}
        write_series(folder / "dicom" / patient / "a", _array(patient), series=f"1.{number}", seed=number, **tags)
        tags |= {"g0008_103e": "AX T1", "g0018_0081": "12", "g0018_0082": "0"}
        write_series(folder / "dicom" / patient / "b", _array(patient)[:, :, :5], series=f"2.{number}", **tags)
        write_itk(folder / "masks" / f"{patient}_1999.01.01_seg.nrrd", (_array(patient) > 250).astype(np.uint8))
    tags = {"g0010_0020": "HF1300", "g0008_0020": "19990301", **FLAIR}
    write_series(folder / "dicom" / "later", _array("HF1300") + 1, series="3.0", **tags)
    write_itk(folder / "masks" / "HF1300_1999.03.01_seg.nrrd", (_array("HF1300") > 250).astype(np.uint8))
    rows = [f"{patient},{grade}" for patient, grade in PATIENTS.items()]
    (folder / "clinical.csv").write_text("\n".join(["Sample,Grade", *rows]) + "\n")
    return folder


def _imported(download, out, **changes):
    settings = {
        "labels_table": str(download / "clinical.csv"),
        "label_column": "Grade",
        "masks": str(download / "masks"),
        **changes,
    }
    return import_dicom.run(import_dicom.Config(str(download / "dicom"), str(out), **settings))


def _expected(array):
    """As displayed, in the middle of 32 x 32: [slices, 32, 32]."""
    turned = np.asarray(nib.as_closest_canonical(nib.Nifti1Image(array, OBLIQUE)).dataobj)
    shown = np.moveaxis(np.swapaxes(turned, 0, 1)[::-1, ::-1], 2, 0)
    return np.pad(shown, [(0, 0), *(((32 - size) // 2,) * 2 for size in shown.shape[1:])])


def test_from_dicom_to_slices(download, tmp_path):
    manifest = _imported(download, tmp_path / "out")
    with (tmp_path / "out_key.csv").open(newline="") as file:
        key = {row["pseudonym"]: row["patient"] for row in csv.DictReader(file)}
    cohort = layouts.find_cohort(manifest)
    assert len(cohort.patients) == 7
    assert {key[patient.group] for patient in cohort.patients} == set(PATIENTS)
    for patient in cohort.patients:
        assert patient.label == {"II": "LGG", "IV": "HGG"}[PATIENTS[key[patient.group]]]
    flags = {"image_size": 32, "normalise": "cohort", "crop": "none", "fit": "crop", "test_counts": ("LGG:1", "HGG:1")}
    prepare_slices.run(prepare_slices.Config(str(tmp_path / "run"), str(manifest), **flags))
    groups = {patient.id: patient.group for patient in cohort.patients}
    count, of_split = 0, {}
    for split in ("train", "validation", "test"):
        store = Store(tmp_path / "run" / "slices", split)
        raw = np.concatenate([_original(key, groups, patient) for patient in dict.fromkeys(store.patients)])
        images, masks = (
            np.stack([one[name] for one in store.dataset().as_numpy_iterator()]) for name in ("image", "mask")
        )
        slope, offset = np.polyfit(raw.ravel(), images.ravel(), 1)
        np.testing.assert_allclose(images[..., 0], slope * raw + offset, atol=1e-3)
        np.testing.assert_array_equal(masks[..., 0], raw > 250)
        count += len(raw)
        of_split[split] = {groups[patient] for patient in store.patients}
    assert count == 7 * 20
    assert not of_split["train"] & of_split["test"]
    assert not of_split["train"] & of_split["validation"]


def _original(key, groups, patient):
    """What was written for a visit of the manifest, as displayed."""
    return _expected(_array(key[groups[patient]]) + int(patient.endswith("_visit2")))


def test_predict_of_a_dicom_folder_and_of_its_import(download, tmp_path):
    export(tmp_path, Classifier(["a", "b"], [-0.01, 0.01]))
    manifest = _imported(download, tmp_path / "out", patient_ids="keep")
    assert not (tmp_path / "out_key.csv").exists()
    results = {}
    for name, image in {
        "dicom": download / "dicom" / "HF1301" / "a",
        "nifti": manifest.parent / "HF1301" / "HF1301_flair.nii.gz",
    }.items():
        flags = {"mask": str(tmp_path / f"{name}.nii.gz"), "predict_batch": 20}
        results[name] = predict.run(predict.Config(str(tmp_path / "export"), (str(image),), **flags))
        mask = nib.load(tmp_path / f"{name}.nii.gz")
        np.testing.assert_array_equal(mask.dataobj, _array("HF1301") > 100)
        np.testing.assert_allclose(mask.affine, OBLIQUE, atol=1e-4)
    assert results["dicom"]["probability"] == results["nifti"]["probability"]


def test_it_lists_and_resumes(download, tmp_path, capsys):
    folder = str(download / "dicom")
    assert import_dicom.run(import_dicom.Config(folder, list=True)) is None
    shown = capsys.readouterr().out
    assert shown.count("taken for flair: FLAIR, its description says") == 7
    assert shown.count("not taken: T1, its description says") == 6
    assert "20 slices of 24 x 20, pixels of 1.10 x 1.20 mm, 5.00 mm apart" in shown
    assert not list(tmp_path.iterdir())
    manifest = _imported(download, tmp_path / "out")
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in manifest.parent.rglob("*flair.nii.gz")}
    assert len(before) == 7
    next(iter(before)).unlink()
    again = _imported(download, tmp_path / "out")
    assert again == manifest
    assert all(path.read_bytes() == data for path, (_, data) in before.items())
    assert sum(path.stat().st_mtime_ns == time for path, (time, _) in before.items()) == 6


def test_names_and_dates_are_nowhere(download, tmp_path):
    _imported(download, tmp_path / "out")
    assert {word for _, word in markers.found(download / "dicom", WORDS)} == set(WORDS)  # all are in the download
    assert not markers.found(tmp_path / "out", WORDS)
    lines = (tmp_path / "out" / "imported.jsonl").read_text().splitlines()
    assert all(set(json.loads(line)) == {"file", "digest"} for line in lines)


def test_what_the_user_fills_in_stays(download, tmp_path, monkeypatch):
    """Labels, masks and columns of a manifest that was edited, in a later import of one patient fewer."""
    path = _imported(download, tmp_path / "out", labels_table="", masks="", patient_ids="keep")
    text = path.read_text().replace("patient,label,mask", "Patient,Grade,mask").replace("group\n", "group,age\n")
    lines = [line.replace(",,,", ",III,elsewhere.nii,") + f",{40 + number}" for number, line in enumerate(text.split())]
    lines[0] = text.split()[0]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8-sig")  # as Excel does
    said = []
    monkeypatch.setattr(
        import_dicom.dicom_manifest.logging, "warning", lambda words, *values: said.append(words % values)
    )
    folder = tmp_path / "fewer"
    shutil.copytree(download / "dicom", folder, ignore=shutil.ignore_patterns("HF1305"))
    again = import_dicom.run(import_dicom.Config(str(folder), str(tmp_path / "out"), patient_ids="keep"))
    with again.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["patient", "grade", "mask", "flair", "group", "age"]
    assert [row["patient"] for row in rows] == ["HF1300_visit1", "HF1300_visit2", *(f"HF130{n}" for n in range(1, 5))]
    assert {(row["grade"], row["mask"]) for row in rows} == {("III", "elsewhere.nii")}
    assert [row["age"] for row in rows] == [str(41 + number) for number in range(6)]
    assert ["1 rows" in line and "HF1305" in line for line in said] == [True]
    anew = _imported(download, tmp_path / "out", patient_ids="keep", label_column="Sample")
    with anew.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["patient", "label", "mask", "flair", "group", "age"]
    assert rows[0]["label"] == "HF1300"  # what the table says now
    assert rows[0]["mask"] == "HF1300_visit1/HF1300_visit1_mask.nii.gz"


def test_a_manifest_of_someone_else_stays(download, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "manifest.csv").write_text("patient,label\n")
    with pytest.raises(InputError, match="was not made by import_dicom; name another folder"):
        _imported(download, tmp_path / "out")
    assert (tmp_path / "out" / "manifest.csv").read_text() == "patient,label\n"


@pytest.mark.parametrize(("modalities", "said"), [(("flair",), []), (("flair", "t1"), ["6 visits", "1 visits lack"])])
def test_what_does_not_fit_together_is_said(modalities, said, download, tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr(import_dicom.logging, "warning", lambda text, *values: lines.append(text % values))
    _imported(download, tmp_path / "out", modalities=modalities, masks="")
    assert len(lines) == len(said)
    for words in said:
        assert any(words in line for line in lines), lines
    assert all("such as" in line and "P0" in line for line in lines)
    assert any("--geometry=resample" in line for line in lines) == bool(said)


def test_what_is_not_known_is_blank(download, tmp_path):
    with _imported(download, tmp_path / "out", labels_table="", masks="").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 7
    assert all(row["label"] == row["mask"] == "" for row in rows)
    with pytest.raises(InputError, match="no label; write the name of a class|has no mask"):
        layouts.find_cohort(tmp_path / "out" / "manifest.csv")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"out": ""}, "--out=FOLDER.*--list"),
        ({"modalities": ("ct",)}, "none of its 13 series shows --modalities=ct"),
        ({"modalities": ("flare",)}, "--modalities=flare: 'flare' is not known"),
        ({"modalities": ("flair", "t2")}, "no visit has all of --modalities=flair,t2"),
    ],
)
def test_what_cannot_be_done_is_said(changes, words, download, tmp_path):
    settings = {"out": str(tmp_path / "out"), **changes}
    with pytest.raises(InputError, match=words) as caught:
        import_dicom.run(import_dicom.Config(str(download / "dicom"), **settings))
    assert len(str(caught.value).splitlines()) == 1
