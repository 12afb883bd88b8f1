import pytest

from rembrandt_featgen.cohort import layouts
from tests.cohort import public_layouts
from tests.cohort.refusals import refused

TUMOURS = [
    "derivatives/tumor_masks/{}/anat/{}_space_T1_label-tumor.nii",
    "derivatives/manual/{}/anat/{}_label-lesion_mask.nii.gz",
    "derivatives/any/{}/{}_space-FLAIR_desc-wholeTumor_dseg.nii.gz",
    "derivatives/deep/down/{}/anat/{}_T1w_lesionmask.nii.gz",
    "derivatives/manual_masks/{}/anat/{}_mask.nii.gz",
    "{}/anat/{}_dseg.nii.gz",
]
OTHERS = [
    "derivatives/fmriprep/{}/anat/{}_dseg.nii.gz",
    "derivatives/fmriprep/{}/anat/{}_desc-brain_mask.nii.gz",
    "derivatives/fmriprep/{}/anat/{}_label-GM_probseg.nii.gz",
    "derivatives/fmriprep/{}/anat/{}_space-MNI152NLin2009cAsym_label-tumor_mask.nii.gz",
    "derivatives/manual/{}/anat/{}_label-lefthippocampus_mask.nii.gz",
    "derivatives/manual/{}/anat/{}_atlas-Desikan_dseg.nii.gz",
    "derivatives/freesurfer/{}/anat/{}_desc-aseg_dseg.nii.gz",
    "{}/anat/{}_T1w.nii.gz",
]


def cohort(folder, *names):
    """Two patients with a FLAIR, and files of these names."""
    for subject in ("sub-lesion01", "sub-02"):
        public_layouts.touch(folder / f"{subject}/anat/{subject}_FLAIR.nii.gz", "", "")
        for name in names:
            public_layouts.touch(folder / name.format(subject, subject), "", "")
    rows = [["sub-lesion01", "case"], ["sub-02", "control"]]
    public_layouts.table(folder / "participants.tsv", ["participant_id", "label"], rows, "\t")
    return folder


@pytest.mark.parametrize("mask", TUMOURS)
def test_masks_of_tumours(tmp_path, mask):
    patients = layouts.find_cohort(cohort(tmp_path, mask, *OTHERS)).patients
    assert [patient.mask for patient in patients] == [tmp_path / mask.format(p.id, p.id) for p in patients]
    assert [patient.images["flair"].name for patient in patients] == [
        "sub-02_FLAIR.nii.gz",
        "sub-lesion01_FLAIR.nii.gz",
    ]


@pytest.mark.parametrize("other", OTHERS)
def test_files_that_are_no_masks_of_tumours(tmp_path, other):
    refused(lambda: layouts.find_cohort(cohort(tmp_path, other)), "no mask", "label-tumor_mask.nii.gz")


def test_runs_of_one_image(tmp_path):
    """A plain name comes first; of two runs, nobody says which."""
    names = ["{}/anat/{}_run-1_T1w.nii.gz", "{}/anat/{}_run-2_T1w.nii.gz", TUMOURS[0]]
    refused(
        lambda: layouts.find_cohort(cohort(tmp_path, *names), modalities=("t1",)), "several", "run-1", "run-2", "keep"
    )
    found = layouts.find_cohort(cohort(tmp_path, "{}/anat/{}_T1w.nii.gz"), modalities=("t1",)).patients
    assert [patient.images["t1"].name for patient in found] == ["sub-02_T1w.nii.gz", "sub-lesion01_T1w.nii.gz"]


def test_contrast_agents_tell_t1_from_t1ce(tmp_path):
    names = ["{}/anat/{}_T1w.nii.gz", "{}/anat/{}_ce-gadolinium_T1w.nii.gz", TUMOURS[0]]
    found = layouts.find_cohort(cohort(tmp_path, *names), modalities=("t1", "t1c")).patients[0]
    assert [path.name for path in found.images.values()] == ["sub-02_T1w.nii.gz", "sub-02_ce-gadolinium_T1w.nii.gz"]
