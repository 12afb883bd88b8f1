"""Targets: manifests, clinical tables, features, predictions: tables that others wrote."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fuzzing.target import Target, joined, parted
from rembrandt_featgen.cohort import layouts
from rembrandt_featgen.cohort.layouts import CohortOptions
from rembrandt_featgen.cohort.manifest import ManifestColumns
from rembrandt_featgen.evaluation import predictions
from rembrandt_featgen.features import clinical, importing, stored_tables
from rembrandt_featgen.features.tables import table_of_arrays

_ROWS = "A_1,LGG,f,s1,50\nA_2,LGG,f,s1,51\nB,HGG,g,s2,\nC-1,HGG,h,s2,7\n"
_FEATURES = b"patient,label,group,site,sample,split,x,y,z\n" + b"".join(
    f"p{n},{('LGG', 'HGG')[n % 2]},g{n // 2},s,{n},train,{n}.5,{-n},{n**2}\n".encode() for n in range(6)
)
_WORDS = tuple(b"patient label grade group site sample split LGG HGG p0 mask flair".split())


def _manifest(data: bytes, folder: Path) -> None:
    (folder / "manifest.csv").write_bytes(data)
    for name in "abcdefgh":
        (folder / f"{name}.nii").write_bytes(name.encode())
    columns = ManifestColumns(covariates=("age",)) if b"age" in data else ManifestColumns()
    layouts.find_cohort(folder, modalities=("flair",), columns=columns)


def _seeds_manifest() -> list[bytes]:
    rows = [f"{row},{image}.nii,{mask}.nii\n" for row, image, mask in zip(_ROWS.split("\n"), "abcd", "efgh")]
    usual = "patient,label,group,site,age,flair,mask\n" + "".join(rows)
    grades = "Patient ID;Grade;FLAIR;mask\nx;II;a.nii;e.nii\ny;4;b.nii;f.nii\n"
    return [usual.encode(), grades.encode(), b"\xef\xbb\xbf" + usual.replace(",", "\t").encode()]


def _labels_table(data: bytes, folder: Path) -> None:
    """A table beside an nnU-Net cohort."""
    (folder / "t.csv").write_bytes(data)
    cohort = folder / "cohort"
    for name in ("imagesTr", "labelsTr"):
        (cohort / name).mkdir(parents=True)
    for patient in ("A_1", "A_2", "B", "C-1"):
        (cohort / f"imagesTr/{patient}_0000.nii").write_bytes(patient.encode())
        (cohort / f"labelsTr/{patient}.nii").write_bytes(patient.encode())
    (cohort / "dataset.json").write_text('{"channel_names": {"0": "flair"}}')
    columns = ManifestColumns(covariates=("age",)) if b"age" in data else ManifestColumns()
    pattern = "(.)_" if b"pattern" in data else ""
    layouts.find_cohort(
        cohort, columns=columns, options=CohortOptions(labels_table=str(folder / "t.csv"), group_pattern=pattern)
    )


def _seeds_labels() -> list[bytes]:
    usual = "patient,label,group,site,age\n" + _ROWS
    return [
        usual.encode(),
        usual.replace(",", "\t").encode(),
        b"id;grade;pattern\na-1;2;x\na-2;3;n/a\nb;4;y\nc 1;IV;z\n",
        b"participant_id,label\nA,0\nB,1\nC-1,1\n",
    ]


def _features(name: str):
    def read(data: bytes, folder: Path) -> None:
        first, *rest = parted(data)
        (folder / name).write_bytes(first)
        table = importing.read_table(folder / name, covariates=("age",) if b"age" in first else ())
        if rest:
            (folder / f"synthetic_{name}").write_bytes(rest[0])
            importing.read_synthetic(folder / f"synthetic_{name}", table)
        if b"split" in first:
            importing.read_split(folder / name)

    return read


def _arrow(**changes) -> bytes:
    columns = {
        "patient": list("aabbcd"),
        "label": [f"{c}GG" for c in "LLHHLH"],
        "x": np.arange(6.0),
        "y": np.arange(6) ** 2,
    }
    file = io.BytesIO()
    pq.write_table(pa.table({**columns, **changes}), file)
    return file.getvalue()


def _seeds_parquet() -> list[bytes]:
    odd = {"z": pa.array(["1.5", "n/a", "+2", "3", "4", "5"]), "age": pa.array([1, 2, None, 4, 5, 6])}
    return [
        _arrow(),
        _arrow(**odd),
        _arrow(w=pa.array([[1.0]] * 6), v=pa.array(list("aabbcc")).dictionary_encode()),
        joined(_arrow(), _arrow(x=np.zeros(6))),
    ]


def _zipped(**arrays) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def _seeds_npz() -> list[bytes]:
    draw = np.random.default_rng(0)
    keys = {"patient": np.array(list("abcdef")), "label": np.array(["LGG", "HGG"] * 3)}
    vectors = draw.normal(size=(6, 3)).astype(np.float32)
    maps = draw.normal(size=(6, 2, 2, 2)).astype(np.float16)
    packed = io.BytesIO()
    np.savez_compressed(packed, features=vectors, names=np.array(["x", "y", "z"]), age=np.arange(6), **keys)
    return [
        _zipped(features=vectors, **keys),
        _zipped(features=maps, sample=np.arange(6), group=np.arange(6), site=np.array([b"s"] * 6), **keys),
        packed.getvalue(),
        joined(_zipped(features=vectors, **keys), _zipped(features=vectors, label=keys["label"])),
    ]


_TABLE = table_of_arrays(
    np.arange(8, dtype=np.float32).reshape(4, 2),
    np.array([0, 1, 0, 1]),
    classes=importing.infer(("LGG", "HGG"), ("LGG", "HGG"), ""),
    patients=np.array(["A_1", "A_2", "B", "C-1"]),
)


def _clinical(data: bytes, folder: Path) -> None:
    (folder / "t.csv").write_bytes(data)
    clinical.with_clinical(
        _TABLE,
        folder / "t.csv",
        covariates=("age",),
        group_column="group",
        site_column="site" if b"site" in data else "",
    )


def _stored(data: bytes, folder: Path) -> None:
    (folder / "table.parquet").write_bytes(data)
    stored_tables.load_table(folder / "table.parquet", _TABLE.classes)


def _seeds_stored() -> list[bytes]:
    keys = {"group": list("aabbcd"), "site": list("ssttst"), "sample": np.arange(6), "split": ["train"] * 6}
    floats = {name: np.arange(6, dtype=np.float32) for name in ("x", "y")}
    return [_arrow(**keys, **floats), _arrow(**{**keys, "site": [None] * 6}, **floats)]


def _predictions(data: bytes, folder: Path) -> None:
    (folder / "predictions.csv").write_bytes(data)
    table = predictions.read(folder / "predictions.csv")
    if len(table):
        table.by_patient()


def _seeds_predictions() -> list[bytes]:
    head = "plan,draw,fold,seed,patient,group,site,sample,label,arm,kind,amount,classifier,chosen,validation_loss,"
    rows = "k-fold,0,1,0,p{0},p{0},s,0,{1},smote,classical,all,cnn,1,0.5,0.5,0.25,0.75\n"
    text = head + "threshold,p_LGG,p_HGG\n" + "".join(rows.format(i, ("LGG", "HGG")[i % 2]) for i in range(4))
    more = text.replace("threshold", "threshold_LGG,threshold_HGG,threshold_x").replace("p_HGG", "p_HGG,p_x")
    more = more.replace("0.5,0.25", "0.5,0.5,0.5,0,0.25")
    return [text.encode(), more.encode()]


TARGETS = (
    Target(
        "manifest",
        _manifest,
        _seeds_manifest,
        code="cohort/{manifest,csv_rows,layouts,cohort_patients,visit_names,who_grades}",
        shape="text",
        tokens=_WORDS,
    ),
    Target(
        "labels_table",
        _labels_table,
        _seeds_labels,
        code="cohort/{labels_table,id_matching,csv_rows,visit_names,classes,nnunet_layouts}",
        shape="text",
        tokens=_WORDS,
    ),
    Target(
        "features_csv",
        _features("x.csv"),
        lambda: [_FEATURES, _FEATURES.replace(b"site", b"age"), joined(_FEATURES, _FEATURES)],
        code="features/{importing,table_files,table_sources,tables,informative_columns}",
        shape="text",
        tokens=_WORDS,
    ),
    Target(
        "features_parquet",
        _features("x.parquet"),
        _seeds_parquet,
        code="features/{importing,table_files,table_sources,tables,informative_columns}",
    ),
    Target(
        "features_npz",
        _features("x.npz"),
        _seeds_npz,
        code="features/{importing,table_files,table_sources,tables,informative_columns}",
        shape="zip",
        tokens=(b"features", b"patient", b"label", b"names", b"<f4", b"|O", b"<U1"),
    ),
    Target(
        "clinical",
        _clinical,
        lambda: [
            ("patient,label,group,site,age\n" + _ROWS).encode(),
            b"patient,group,age\nA_1,a,x\nA_2,a,y\nB,b,\nC-1,c,z\n",
        ],
        code="features/{clinical,table_files}",
        shape="text",
        tokens=_WORDS,
    ),
    Target("stored_table", _stored, _seeds_stored, code="features/{stored_tables,tables}"),
    Target("predictions", _predictions, _seeds_predictions, code="evaluation/predictions", shape="text", tokens=_WORDS),
)
