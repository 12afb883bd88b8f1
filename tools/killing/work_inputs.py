"""What the commands that are killed read: tables, maps, volumes and a DICOM download, of a few patients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK

from rembrandt_featgen.cohort import phantom


def _table(path: Path, seed: int) -> None:
    """A table of vectors of 48 patients, two rows of some; each seed has other patients."""
    random = np.random.default_rng(seed)
    labels = np.arange(48) % 2
    rows = ["patient,label,age," + ",".join(f"f{number}" for number in range(6))]
    for patient, label in enumerate(labels):
        for _ in range(1 + patient % 2):
            numbers = random.normal(size=6) + label * np.array([1.2, 0.6, 0, 0, 0, 0])
            cells = ",".join(f"{number:.5f}" for number in numbers)
            rows.append(f"{'pqr'[seed]}{patient:02d},{'malignant' if label else 'benign'},{40 + patient},{cells}")
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


def _maps(path: Path) -> None:
    random = np.random.default_rng(3)
    labels = np.arange(24) % 2
    maps = random.normal(size=(24, 4, 4, 3)).astype(np.float32) + labels[:, None, None, None].astype(np.float32)
    names = np.array([f"m{number // 2 * 2 + number % 2:02d}" for number in range(24)])
    np.savez(path, features=np.maximum(maps, 0), label=np.array(["benign", "malignant"])[labels], patient=names)


def of_studies(folder: Path) -> None:
    """Three tables of other patients each, and maps."""
    for name, seed in (("one", 0), ("two", 1), ("three", 2)):
        _table(folder / f"{name}.csv", seed)
    _maps(folder / "maps.npz")


def of_imports(folder: Path) -> None:
    """Two downloads, of which the second one has all of the first, and what is known of their patients."""
    for number, patient in enumerate(("HF01", "HF02", "HF03", "HF04")):
        for visit in range(1 + number % 2):
            random = np.random.default_rng([number, visit])
            mask = SimpleITK.GetImageFromArray((random.uniform(size=(6, 16, 16)) > 0.5).astype(np.uint8))
            for download in ("some", "all") if number < 2 and visit == 0 else ("all",):
                for modality in ("flair", "t1"):
                    place = folder / download / patient / f"{visit}{modality}"
                    _series(place, patient, modality=modality, visit=visit)
                masks = folder / f"{download}_masks"
                masks.mkdir(exist_ok=True)
                SimpleITK.WriteImage(mask, str(masks / f"{patient}_1999010{1 + visit}_mask.nii.gz"))
    (folder / "clinical.csv").write_text("patient,Grade\nHF01,II\nHF02,IV\nHF03,II\nHF04,IV\n", encoding="utf-8")


def _series(folder: Path, patient: str, *, modality: str, visit: int) -> None:
    """A DICOM series of six slices."""
    folder.mkdir(parents=True)
    uid = f"1.2.{int(patient[2:])}.{visit}.{1 + (modality == 't1')}"
    random = np.random.default_rng([int(part) for part in uid.split(".")])
    tags = {"0010|0020": patient, "0008|0060": "MR", "0020|000d": f"{uid}.0", "0020|000e": uid, "0018|0050": "5"}
    tags |= {"0008|0020": f"1999010{1 + visit}", "0008|103e": f"AX {modality.upper()}", "0028|0030": "1\\1"}
    tags |= {"0020|0037": "1\\0\\0\\0\\1\\0", "0008|0016": "1.2.840.10008.5.1.4.1.1.4"}
    times = {"flair": ("9000", "120", "2250"), "t1": ("500", "12", "0")}[modality]
    tags |= dict(zip(("0018|0080", "0018|0081", "0018|0082"), times))
    for number in range(6):
        image = SimpleITK.GetImageFromArray(random.integers(0, 900, (1, 16, 16)).astype(np.int16))
        of_slice = {
            "0008|0018": f"{uid}.{number + 1}",
            "0020|0013": str(number + 1),
            "0020|0032": f"0\\0\\{5 * number}",
        }
        for tag, value in {**tags, **of_slice}.items():
            image.SetMetaData(tag, value)
        writer = SimpleITK.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        writer.SetImageIO("GDCMImageIO")
        writer.SetFileName(str(folder / f"{number}.dcm"))
        writer.Execute(image)


def of_runs(folder: Path) -> None:
    """A volume for `predict`."""
    cohort = phantom.write_phantom(folder / "cohort", {"LGG": 1, "HGG": 1}, size=40, slices=3, seed=5)
    image = min(cohort.rglob("*_flair.nii.gz"))
    image.rename(folder / "flair.nii.gz")
