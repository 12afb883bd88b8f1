"""Each public data set's naming is recognised and understood, and no visit of a patient leaves the others."""

import pytest

from rembrandt_featgen.cohort import known_layouts, layouts, splits
from tests.cohort import public_layouts
from tests.cohort.refusals import refused

LAYOUTS = sorted(public_layouts.MAKERS)


def found(made, cohort=None, **changes):
    return layouts.find_cohort(
        cohort or made.cohort, names=made.names, columns=made.columns, **{"options": made.options, **changes}
    )


@pytest.fixture(params=LAYOUTS)
def layout(request):
    return request.param


def test_each_layout_has_an_example():
    assert set(LAYOUTS) == set(known_layouts.KNOWN)


def test_patients_of_each_layout(tmp_path, layout):
    made = public_layouts.make(layout, tmp_path / "in" / "cohort")
    cohort = found(made, modalities=("flair", "t1c"))
    assert {patient.id: patient.label for patient in cohort.patients} == made.labels
    assert len(cohort.patients) == 16
    for patient in cohort.patients:
        files = (*patient.images.values(), patient.mask)
        assert len(set(files)) == 3
        assert all(str(file).partition("#")[0] != str(file) or file.is_file() for file in files)


def test_visits_of_a_patient_are_never_divided(tmp_path, layout):
    made = public_layouts.make(layout, tmp_path / "in" / "cohort")
    cohort = found(made)
    group = {patient.id: patient.group for patient in cohort.patients}
    pairs = [(one, two) for one in group for two in group]
    assert all((group[one] == group[two]) == (made.patients[one] == made.patients[two]) for one, two in pairs)
    whole = [
        splits.split_patients(cohort, test_fraction=0.25, validation_fraction=0.25, seed=seed) for seed in range(3)
    ]
    whole += splits.fold_patients(cohort, 4, validation_fraction=0.25, seed=0)
    for assignment in whole:
        assert len({(made.patients[name], split) for name, split in assignment.items()}) == 8
        assert set(assignment.values()) == {"train", "validation", "test"}


def test_the_layout_that_is_named_is_taken(tmp_path, layout):
    """Also where others would fit: of the innermost folder, and with one that does not fit refused in one line."""
    made = public_layouts.make(layout, tmp_path / "in" / "cohort")
    place = known_layouts.recognised(made.cohort)[0]
    assert known_layouts.recognised(made.cohort)[1] == layout
    assert found(made, place, layout=layout) == found(made)
    other = "upenn_gbm" if layout != "upenn_gbm" else "decathlon"
    refused(lambda: layouts.find_cohort(place, other), place, "found")


def test_a_folder_around_the_cohort_is_looked_through(tmp_path):
    made = public_layouts.make("brats2017", tmp_path / "MICCAI" / "Training")
    (tmp_path / "README.txt").touch()
    assert len(found(made, tmp_path).patients) == 16
    (tmp_path / "Validation").mkdir()  # which of the two it is, nobody says
    refused(lambda: found(made, tmp_path), tmp_path, "found MICCAI, README.txt, Validation", "no layout fits")


@pytest.mark.parametrize(
    ("layout", "victim", "words"),
    [
        ("brats2013", "mask", ["brats_tcia_pat153_0002", "no mask", "VSD.Brain_3more.XX.O.OT.<number>.mha"]),
        ("brats2017", "flair", ["no flair", "found Brats18_TCIA01_390_1", "expected Brats18_TCIA01_390_1_flair.nii"]),
        ("brats2023", "mask", ["no mask", "found BraTS-GLI-00000-000-t1c", "expected BraTS-GLI-00000-000-seg.nii.gz"]),
        ("brats2023", "flair", ["no flair", "expected BraTS-GLI-00000-000-t2f.nii.gz"]),
        ("tcga_glioma", "flair", ["TCGA-02-0006", "no flair", "GlistrBoost", "expected TCGA-02-0006_1996.08.23_flair"]),
        ("ucsf_pdgm", "mask", ["no mask", "expected UCSF-PDGM-0429_tumor_segmentation.nii.gz", "--incomplete"]),
        ("upenn_gbm", "mask", ["UPENN-GBM-00001_11", "no mask", "expected UPENN-GBM-00001_11_segm.nii.gz"]),
        ("bids", "mask", ["no mask", "found sub-PAT00_ses-preop", "derivatives/<any>/.../sub-PAT00_ses-preop"]),
        ("nnunet", "flair", ["no flair of BraTS-GLI-00000-100", "expected BraTS-GLI-00000-100_0001.nii.gz"]),
        ("nnunet", "mask", ["no mask of BraTS-GLI-00000-100", "found BraTS-GLI-00000-101", "expected"]),
        ("decathlon", "mask", ["no mask of BRATS_001", "found BRATS_002.nii.gz", "expected BRATS_001.nii.gz"]),
        ("rembrandt", "flair", ["HF1318_2004.03.22", "no flair", "HF1318_2004.03.22_flair"]),
    ],
)
def test_what_is_missing_is_named_with_what_is_there(tmp_path, layout, victim, words):
    taken = []

    def write(path, name, what):
        if what != victim or taken:
            public_layouts.touch(path, name, what)
        else:
            taken.append(name)

    made = public_layouts.make(layout, tmp_path / "in" / "cohort", write)
    refused(lambda: found(made), "leave this patient out", *words)
    rest = found(made, options=options_of(made, incomplete="leave_out"))
    assert {patient.id for patient in rest.patients} == set(made.labels) - set(taken)


def options_of(made, **changes):
    return layouts.CohortOptions(**{**vars(made.options), **changes})


def test_slices_without_masks(tmp_path):
    made = public_layouts.make("lgg_segmentation", tmp_path / "cohort")
    for number in (1, 2):
        (tmp_path / f"cohort/TCGA_CS_4941_19960909/TCGA_CS_4941_19960909_{number}_mask.tif").unlink()
    refused(lambda: found(made), "no mask", "found TCGA_CS_4941_19960909_1.tif", "TCGA_CS_4941_19960909_1_mask.tif")
    refused(lambda: found(made, modalities=("ct",)), "no ct", "found channels t1, flair, t1ce")


def test_a_channel_that_is_none(tmp_path):
    made = public_layouts.make("nnunet", tmp_path / "cohort")
    refused(lambda: found(made, modalities=("adc",)), "--modalities=adc", "T1Gd, T2-FLAIR", "adc is none")
    (tmp_path / "cohort/Dataset501_Glioma/dataset.json").write_text("{}")
    refused(lambda: found(made), "dataset.json", "no channel_names", "correct it")


@pytest.mark.parametrize("layout", ["nnunet", "decathlon"])
def test_channels_that_nothing_names(tmp_path, layout):
    made = public_layouts.make(layout, tmp_path / "cohort")
    next(tmp_path.rglob("dataset.json")).unlink()
    refused(lambda: found(made), "no dataset.json", "imagesTr", '{"channel_names": {"0": "FLAIR"}}')


def test_several_masks_of_bids(tmp_path):
    made = public_layouts.make("bids", tmp_path / "cohort")
    anat = tmp_path / "cohort/derivatives/other/sub-PAT00/ses-preop/anat"
    public_layouts.touch(anat / "sub-PAT00_ses-preop_label-lesion_mask.nii.gz", "", "")
    refused(lambda: found(made), "several files may be the mask", "label-lesion_mask", "label-tumor_mask", "keep one")


def test_a_mask_of_bids_without_a_session(tmp_path):
    """As in OpenNeuro's ds001226; where there are two sessions, it may be of either, and is of none."""
    for sessions in (["ses-preop"], ["ses-preop", "ses-postop"]):
        for number in range(2):
            home = tmp_path / str(len(sessions))
            for session in sessions:
                image = home / f"sub-PAT{number}/{session}/anat/sub-PAT{number}_{session}_FLAIR.nii.gz"
                public_layouts.touch(image, "", "")
            derived = home / f"derivatives/tumor_masks/sub-PAT{number}/anat"
            public_layouts.touch(derived / f"sub-PAT{number}_space_T1_label-tumor.nii", "", "")
            public_layouts.touch(derived / f"sub-PAT{number}_space_MNI_label-tumor.nii", "", "")
        rows = [["sub-PAT0", "control"], ["sub-PAT1", "case"]]
        public_layouts.table(home / "participants.tsv", ["participant_id", "label"], rows, "\t")
    one = layouts.find_cohort(tmp_path / "1")
    assert [patient.mask.name for patient in one.patients] == [f"sub-PAT{n}_space_T1_label-tumor.nii" for n in (0, 1)]
    refused(lambda: layouts.find_cohort(tmp_path / "2"), "sub-PAT0", "no mask", "found sub-PAT0_ses-")


def test_meningiomas_in_radiotherapy(tmp_path):
    """BraTS 2023's MEN-RT has one image, and _ where others have -."""
    for number in (2, 3):
        name = f"BraTS-MEN-RT-{number:04d}-1"
        for ending in ("t1c", "gtv"):
            public_layouts.touch(tmp_path / name / f"{name}_{ending}.nii.gz", "", "")
    path = public_layouts.table(
        tmp_path / "t.csv", ["id", "label"], [["BraTS-MEN-RT-0002", 0], ["BraTS-MEN-RT-0003", 1]]
    )
    options = layouts.CohortOptions(labels_table=str(path))
    cohort = layouts.find_cohort(tmp_path, modalities=("t1ce",), options=options)
    assert [patient.group for patient in cohort.patients] == ["BraTS-MEN-RT-0002", "BraTS-MEN-RT-0003"]


def test_ids_of_2013_begin_anew_in_each_grade(tmp_path):
    for grade in ("HG", "LG"):
        for series in ("VSD.Brain.XX.O.MR_Flair", "VSD.Brain_3more.XX.XX.OT"):
            public_layouts.touch(tmp_path / grade / "0001" / series / f"{series}.684.mha", "", "")
    cohort = layouts.find_cohort(tmp_path)
    assert [(patient.id, patient.label) for patient in cohort.patients] == [("HG_0001", "HGG"), ("LG_0001", "LGG")]


@pytest.mark.parametrize("layout", ["brats2021", "decathlon", "upenn_gbm"])
def test_classes_that_nothing_says(tmp_path, layout):
    made = public_layouts.make(layout, tmp_path / "in" / "cohort")
    for path in tmp_path.rglob("*.csv"):
        path.unlink()
    words = [f"--layout={layout}", "no patient's class", "--labels_table", "--label_column"]
    refused(lambda: layouts.find_cohort(made.cohort), *words)


def test_a_table_beside_the_patients_is_found_from_above(tmp_path):
    """As Kaggle's archive of the LGG segmentation set is unpacked."""
    made = public_layouts.make("lgg_segmentation", tmp_path / "archive" / "kaggle_3m")
    assert len(found(made, tmp_path / "archive").patients) == 16


@pytest.mark.parametrize("layout", ["brats2013", "brats2017"])
def test_folders_beside_those_of_grades_are_said(tmp_path, layout, caplog):
    made = public_layouts.make(layout, tmp_path / "in" / "cohort")
    (made.cohort / "notes").mkdir()
    found(made)
    assert "left out" not in caplog.text
    public_layouts.touch(made.cohort / "extra" / "one" / "one_flair.nii.gz", "", "")
    assert {patient.id: patient.label for patient in found(made).patients} == made.labels
    assert "1 folder with images is left out, of no grade, such as extra; move patients" in caplog.text


@pytest.mark.parametrize(
    ("layout", "name"),
    [("brats2021", "BraTS2021_00099b"), ("brats2023", "Brats-GLI-00001-000"), ("ucsf_pdgm", "UCSF-PDGM-0099")],
)
def test_folders_that_are_named_otherwise_are_said(tmp_path, layout, name, caplog):
    """They are of no visit, and nobody would miss them."""
    made = public_layouts.make(layout, tmp_path / "in" / "cohort")
    visit = next(found(made).patients[0].mask.parents[0].parent.iterdir())
    assert "left out" not in caplog.text
    (visit.parent / "notes").mkdir()
    public_layouts.touch(visit.parent / name / f"{name}_flair.nii.gz", "", "")
    assert {patient.id: patient.label for patient in found(made).patients} == made.labels
    assert f"1 folder with images is left out, not named like the others, such as {name}" in (caplog.text)


def test_a_folder_of_slices_that_is_named_otherwise_is_said(tmp_path, caplog):
    made = public_layouts.make("lgg_segmentation", tmp_path / "in" / "cohort")
    folder = found(made).patients[0].mask.parent
    assert "left out" not in caplog.text
    public_layouts.touch(folder / "TCGA_CS_4941_19960909 (1)" / "x_1.tif", "", "")
    assert {patient.id: patient.label for patient in found(made).patients} == made.labels
    assert (
        "1 folder with images is left out, not named like the others, such as TCGA_CS_4941_19960909 (1)" in caplog.text
    )


@pytest.mark.parametrize("layout", ["brats2021", "brats2017", "tcga_glioma", "upenn_gbm", "ucsf_pdgm"])
def test_a_second_download_of_a_file_is_said(tmp_path, layout, caplog):
    made = public_layouts.make(layout, tmp_path / "in" / "cohort")
    flair = found(made).patients[0].images["flair"]
    assert "by name a copy" not in caplog.text
    stem = flair.name.removesuffix(".nii.gz")
    (flair.parent / f"{stem} (1).nii.gz").write_bytes(flair.read_bytes())
    assert found(made).patients[0].images["flair"] == flair
    assert f"{stem} (1).nii.gz is not read, by name a copy of another file; delete it" in caplog.text


@pytest.mark.parametrize("pair", [("brats2021", "brats2023"), ("tcga_glioma", "rembrandt")])
def test_two_data_sets_in_one_folder(tmp_path, pair):
    for layout in pair:
        public_layouts.make(layout, tmp_path / "in" / layout)
    refused(lambda: layouts.find_cohort(tmp_path / "in"), " and ".join(pair), "one of them", "--layout", "a manifest")


def test_files_of_another_patient_in_a_folder(tmp_path):
    """Files of follow-ups have other numbers in UCSF-PDGM, those of first visits have not."""
    made = public_layouts.make("ucsf_pdgm", tmp_path / "in" / "cohort")
    folder = next(found(made).patients[0].mask.parents[0].iterdir()).parent
    for file in folder.iterdir():
        file.rename(file.with_name(file.name.replace(folder.name.removesuffix("_nifti"), "UCSF-PDGM-0999")))
    refused(lambda: found(made), folder, "no flair", "UCSF-PDGM-0999_")


def test_only_the_innermost_folder_of_the_cohort_says_the_collection(tmp_path):
    """Not one above it, of whatever name; and none that names both."""
    home = tmp_path / "TCGA_GBM" / "TCGA_LGG_and_TCGA_GBM"
    for place, name in (("x", "TCGA-02-0006"), ("TCGA_LGG/TCGA_GBM_x", "TCGA-02-0007"), ("TCGA_LGG", "TCGA-02-0008")):
        for ending in ("flair", "GlistrBoost"):
            public_layouts.touch(home / place / name / f"{name}_1996.08.23_{ending}.nii.gz", "", "")
    options = layouts.CohortOptions(incomplete="leave_out")
    cohort = layouts.find_cohort(home, names=("LGG", "GBM"), options=options)
    assert [(patient.group, patient.label) for patient in cohort.patients] == [
        ("TCGA-02-0007", "GBM"),
        ("TCGA-02-0008", "LGG"),
    ]
