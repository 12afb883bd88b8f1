"""Tiny cohorts that are named as public data sets are: two classes, four patients each, two visits a patient."""

import csv
import json
from pathlib import Path
from typing import NamedTuple

from rembrandt_featgen.cohort.layouts import CohortOptions
from rembrandt_featgen.cohort.manifest import ManifestColumns

PATIENTS, VISITS = 4, 2  # of each class, of each patient


class Made(NamedTuple):
    """A cohort that was written.

    Attributes:
      cohort: its folder or file.
      labels: id to class, as the cohort should have them.
      patients: id to the patient whose visit it is.
      names: the classes to ask for; none for a known pair.
      columns: of tables.
      options: of the cohort.
    """

    cohort: Path
    labels: dict[str, str]
    patients: dict[str, str]
    names: tuple[str, ...] = ()
    columns: ManifestColumns = ManifestColumns()
    options: CohortOptions = CohortOptions()


def visits(labels):
    """(class, number of the patient in the cohort, number of the visit) of each visit."""
    return [
        (label, PATIENTS * of_class + patient, visit)
        for of_class, label in enumerate(labels)
        for patient in range(PATIENTS)
        for visit in range(VISITS)
    ]


def table(path, header, rows, delimiter=","):
    """Writes a table."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows([header, *rows])
    return path


GLIOMAS = ("LGG", "HGG")
MGMT = ("Unmethylated", "Methylated")


def brats2013(folder, write):
    made = {}
    for label, patient, visit in visits(GLIOMAS):
        name = f"brats_tcia_pat{patient + 153}_{(2, 181)[visit]:04d}"
        number = 54512 + 10 * patient + 5 * visit
        for offset, (series, what) in enumerate(
            [("Brain.XX.O.MR_Flair", "flair"), ("Brain.XX.O.MR_T1c", "t1ce"), ("Brain_3more.XX.O.OT", "mask")]
        ):
            stem = f"VSD.{series}.{number + offset}"
            write(folder / label / name / stem / f"{stem}.mha", name, what)
        made[name] = (label, f"brats_tcia_pat{patient + 153}")
    return _made(folder, made)


def brats2017(folder, write):
    made = {}
    for label, patient, visit in visits(GLIOMAS):
        name = f"Brats18_TCIA01_{patient + 390}_{visit + 1}"
        _case(folder / label / name, name, write, flair="_flair", t1ce="_t1ce", mask="_seg")
        made[name] = (label, f"Brats18_TCIA01_{patient + 390}")
    return _made(folder, made)


def brats2020(folder, write):
    """The ids say nothing of visits: a table has the groups."""
    made, rows = {}, []
    for number, (label, patient, _) in enumerate(visits(GLIOMAS)):
        name = f"BraTS20_Training_{number + 350:03d}"
        mask = "W39_1998.09.19_Segm" if name == "BraTS20_Training_355" else f"{name}_seg"
        _case(folder / name, name, write, flair="_flair", t1ce="_t1ce")
        write(folder / name / f"{mask}.nii", name, "mask")
        made[name] = (label, f"W{patient}")
        rows.append([label, f"Brats17_{patient}", f"W{patient}", "NA", name])
    header = [
        "Grade",
        "BraTS_2017_subject_ID",
        "TCGA_TCIA_subject_ID",
        "BraTS_2019_subject_ID",
        "BraTS_2020_subject_ID",
    ]
    path = table(folder / "name_mapping.csv", header, rows)
    columns = ManifestColumns(group="TCGA_TCIA_subject_ID")
    return _made(folder, made, columns=columns, options=CohortOptions(labels_table=str(path)))


def brats2021(folder, write):
    """RSNA-MICCAI's table of labels has bare numbers, and no visits: a pattern joins pairs of ids here."""
    made, rows = {}, []
    for number, (label, patient, _) in enumerate(visits(("0", "1"))):
        name = f"BraTS2021_{number:05d}"
        _case(folder / name, name, write, flair="_flair", t1ce="_t1ce", mask="_seg")
        made[name] = (label, str(patient))
        rows.append([f"{number:05d}", label, f"P{patient}"])
    path = table(folder.parent / "train_labels.csv", ["BraTS21ID", "MGMT_value", "person"], rows)
    columns = ManifestColumns(label="MGMT_value", group="person")
    return _made(folder, made, columns=columns, options=CohortOptions(labels_table=str(path)))


def brats2023(folder, write):
    made, rows = {}, []
    home = folder / "ASNR-MICCAI-BraTS2023-GLI-Challenge-TrainingData"
    for label, patient, visit in visits(GLIOMAS):
        name = f"BraTS-GLI-{patient:05d}-{visit:03d}"
        _case(home / name, name, write, flair="-t2f", t1ce="-t1c", mask="-seg")
        made[name] = (label, f"BraTS-GLI-{patient:05d}")
        rows.append([f"BraTS-GLI-{patient:05d}", "x", label])
    path = table(folder.parent / "grades.csv", ["subject", "centre", "Grade"], rows)
    return _made(folder, made, options=CohortOptions(labels_table=str(path)))


def rembrandt(folder, write):
    made, rows = {}, []
    for label, patient, visit in visits(GLIOMAS):
        person = f"900-00-{patient + 5299}" if patient % 2 else f"HF{patient + 1318}"
        name = f"{person}_{2004 + visit}.03.22"
        home = folder / f"Patients_{label}" / name
        for what, ending in (("flair", "flair_LPS_rSRI"), ("t1ce", "t1ce_LPS_rSRI")):
            write(home / f"{name}_{ending}.nii.gz", name, what)
        mask = "GlistrBoost_out" if (patient, visit) == (0, 0) else "GlistrBoost_ManuallyCorrected"
        write(home / f"{name}_{mask}.nii.gz", name, "mask")
        made[name] = (label, person)
        rows.append([person.lower(), patient + 40, "WHO II" if label == "LGG" else "WHO IV"])
    path = table(folder.parent / "clinical.tsv", ["Sample", "Age", "Grade"], rows, "\t")
    return _made(folder, made, options=CohortOptions(labels_table=str(path)))


def tcga_glioma(folder, write):
    made = {}
    for label, patient, visit in visits(("LGG", "GBM")):
        person = f"TCGA-02-{patient + 6:04d}"
        name = f"{person}_{1996 + visit}.08.23"
        home = folder / f"Pre-operative_TCGA_{label}_NIfTI_and_Segmentations" / person
        for what, ending in (("flair", "flair"), ("t1ce", "t1Gd"), ("mask", "GlistrBoost_ManuallyCorrected")):
            write(home / f"{name}_{ending}.nii.gz", name, what)
        write(home / f"{name}_GlistrBoost.nii.gz", name, "other")
        made[name] = (label, person)
    return _made(folder, made, names=("LGG", "GBM"))


def lgg_segmentation(folder, write):
    made, rows = {}, []
    for label, patient, visit in visits(("1", "2")):
        person = f"TCGA_CS_{patient + 4941}"
        name = f"{person}_{1996 + visit}0909"
        write(folder / name, name, "slices")
        made[name] = (label, person)
        if not visit:
            rows.append([person, "", label, "1", f"{patient + 40}"])
    header = ["Patient", "RNASeqCluster", "neoplasm_histologic_grade", "gender", "age_at_initial_pathologic"]
    table(folder / "data.csv", header, rows)
    columns = ManifestColumns(label="neoplasm_histologic_grade", covariates=("age_at_initial_pathologic",))
    return _made(folder, made, names=("1", "2"), columns=columns)


def ucsf_pdgm(folder, write):
    """The table has ids of three digits, and follow-ups of four."""
    made, rows = {}, []
    home = folder / "UCSF-PDGM-v5"
    for label, patient, visit in visits(GLIOMAS):
        person = f"UCSF-PDGM-{patient + 429:04d}"
        name = f"{person}_FU003d" if visit else person
        # inside the folder of a follow-up, files may have the number that it had before
        files = f"UCSF-PDGM-{patient + 138:04d}" if visit and patient % 2 else name
        for what, ending in (
            ("flair", "FLAIR"),
            ("t1ce", "T1c"),
            ("mask", "tumor_segmentation"),
            ("other", "T1c_bias"),
        ):
            write(home / f"{name}_nifti" / f"{files}_{ending}.nii.gz", name, what)
        made[name] = (label, person)
        grade = "2" if label == "LGG" else "34"[patient % 2]
        rows.append([name if visit else f"UCSF-PDGM-{patient + 429:03d}", "M", 50, grade, "wildtype"])
    table(folder / "UCSF-PDGM-metadata_v5.csv", ["ID", "Sex", "Age at MRI", "WHO CNS Grade", "IDH"], rows)
    return _made(folder, made)


def upenn_gbm(folder, write):
    made, rows = {}, []
    for label, patient, visit in visits(MGMT):
        person = f"UPENN-GBM-{patient + 1:05d}"
        name = f"{person}_{'21' if visit else '11'}"
        for what, ending in (("flair", "FLAIR"), ("t1ce", "T1GD")):
            write(folder / "NIfTI-files/images_structural" / name / f"{name}_{ending}.nii.gz", name, what)
        if visit:
            mask = folder / "NIfTI-files/automated_segm" / f"{name}_automated_approx_segm.nii.gz"
        else:
            mask = folder / "NIfTI-files/images_segm" / f"{name}_segm.nii.gz"
        write(mask, name, "mask")
        made[name] = (label, person)
        rows.append([name, "M", 60 + patient, label])
    path = table(folder / "UPENN-GBM_clinical_info_v2.1.csv", ["ID", "Gender", "Age_at_scan_years", "MGMT"], rows)
    return _made(path.parent, made, names=MGMT, columns=ManifestColumns(label="MGMT", covariates=("Gender",)))


def bids(folder, write):
    made, rows = {}, []
    for label, patient, visit in visits(("control", "case")):
        person, session = f"sub-PAT{patient:02d}", ("ses-preop", "ses-postop")[visit]
        name = f"{person}_{session}"
        home = folder / person / session / "anat"
        for what, ending in (("flair", "FLAIR"), ("t1ce", "ce-gadolinium_T1w"), ("other", "T1w")):
            write(home / f"{name}_{ending}.nii.gz", name, what)
        derived = folder / "derivatives/tumor_masks" / person / session / "anat"
        write(derived / f"{name}_label-tumor_mask.nii.gz", name, "mask")
        write(derived / f"{name}_space-MNI152NLin6Asym_label-tumor_mask.nii.gz", name, "other")
        write(derived / f"{name}_desc-brain_mask.nii.gz", name, "other")
        made[name] = (label, person)
        if not visit:
            rows.append([person, label, "n/a" if patient else "61"])
    table(folder / "participants.tsv", ["participant_id", "group", "age"], rows, "\t")
    return _made(folder, made, columns=ManifestColumns(label="group", covariates=("age",)))


def nnunet(folder, write):
    made, rows = {}, []
    home = folder / "Dataset501_Glioma"
    for label, patient, visit in visits(GLIOMAS):
        name = f"BraTS-GLI-{patient:05d}-{visit + 100:03d}"
        write(home / "imagesTr" / f"{name}_0000.nii.gz", name, "t1ce")
        write(home / "imagesTr" / f"{name}_0001.nii.gz", name, "flair")
        write(home / "labelsTr" / f"{name}.nii.gz", name, "mask")
        made[name] = (label, f"BraTS-GLI-{patient:05d}")
        rows.append([name, label])
    record = {"channel_names": {"0": "T1Gd", "1": "T2-FLAIR"}, "labels": {"background": 0, "tumor": 1}}
    (home / "dataset.json").write_text(json.dumps({**record, "numTraining": len(made), "file_ending": ".nii.gz"}))
    path = table(folder / "labels.csv", ["case", "label"], rows)
    return _made(folder, made, options=CohortOptions(labels_table=str(path)))


def decathlon(folder, write):
    made, rows = {}, []
    for number, (label, patient, _) in enumerate(visits(GLIOMAS)):
        name = f"BRATS_{number + 1:03d}"
        write(folder / "imagesTr" / f"{name}.nii.gz", name, "four")
        write(folder / "labelsTr" / f"{name}.nii.gz", name, "mask")
        (folder / "imagesTr" / f"._{name}.nii.gz").touch()  # the archive has such files
        made[name] = (label, f"P{patient}")
        rows.append([name, label, f"P{patient}"])
    record = {"tensorImageSize": "4D", "modality": {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"}}
    training = [{"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"} for name in made]
    (folder / "dataset.json").write_text(json.dumps({**record, "training": training}))
    path = table(folder / "labels.csv", ["image", "label", "group"], rows)
    return _made(folder, made, options=CohortOptions(labels_table=str(path)))


def manifest(folder, write):
    made, rows = {}, []
    for label, patient, visit in visits(GLIOMAS):
        name = f"P{patient}_v{visit}"
        _case(folder / name, name, write, flair="_f", t1ce="_c", mask="_m")
        made[name] = (label, f"P{patient}")
        rows.append([name, label, *(f"{name}/{name}_{what}.nii.gz" for what in "mfc")])
    table(folder / "manifest.csv", ["patient", "label", "mask", "T2F", "t1ce"], rows)
    return _made(folder, made, options=CohortOptions(group_pattern="^(.+)_v"))


MAKERS = {
    make.__name__: make
    for make in (
        brats2013,
        brats2017,
        brats2020,
        brats2021,
        brats2023,
        rembrandt,
        tcga_glioma,
        lgg_segmentation,
        ucsf_pdgm,
        upenn_gbm,
        bids,
        nnunet,
        decathlon,
        manifest,
    )
}


def make(layout, folder, write=None):
    """Writes the cohort of a layout.

    Args:
      layout: one of MAKERS.
      folder: that does not exist.
      write: what writes the file or folder of an id and "flair", "t1ce", "mask", "other" (which nothing should read),
        "four" (volumes of flair, t1, t1ce and t2) or "slices" (a folder of .tif); by default empty files.
    """
    folder.mkdir(parents=True)
    return MAKERS[layout](folder, write or touch)


def touch(path, name, what):
    """Makes an empty file, or a folder of such slices."""
    if what == "slices":
        for ending in ("1.tif", "1_mask.tif", "2.tif", "2_mask.tif"):
            touch(path / f"{name}_{ending}", name, "")
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def _case(folder, name, write, **endings):
    for what, ending in endings.items():
        write(folder / f"{name}{ending}.nii.gz", name, what)


def _made(folder, made, **others):
    labels = {name: label for name, (label, _) in made.items()}
    return Made(folder, labels, {name: patient for name, (_, patient) in made.items()}, **others)
