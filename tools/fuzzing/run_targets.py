"""Targets: weights, stores, records of stages, reports, splits, flagfiles, names of files: what a run reads back."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fuzzing.target import Target, joined, parted
from rembrandt_featgen.cohort import layouts, patient_files, split_files
from rembrandt_featgen.cohort.layouts import CohortOptions
from rembrandt_featgen.core import cli, json_files, registry, rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data import truth, volume_measures
from rembrandt_featgen.data.store import Store
from rembrandt_featgen.data.store_index import read_index, write_reference
from rembrandt_featgen.data.store_writer import Writer
from rembrandt_featgen.evaluation import pooled_tasks
from rembrandt_featgen.nn import weights
from rembrandt_featgen.segmentation import tensorlayer_files, weight_records
from rembrandt_featgen.stages import assign_folds

_NPY = (b"<f4", b"<f8", b"|O", b"(46,)", b"'shape': (", b"params", b"arr_0", b"\x93NUMPY\x01\0", b"True")


def _saved(save: Callable[[Path], object], folder: Path) -> bytes:
    """Bytes of the one file that `save` writes."""
    save(folder)
    (path,) = folder.iterdir()
    content = path.read_bytes()
    path.unlink()
    return content


def _scratch(save: Callable[[Path], object]) -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return _saved(save, Path(folder))


def _arrays() -> list[np.ndarray]:
    return [np.arange(18, dtype=np.float32).reshape(3, 3, 1, 2), np.zeros(2, np.float32), np.ones((2, 1), np.float64)]


def _tensorlayer(data: bytes, folder: Path) -> None:
    (folder / "w.npz").write_bytes(data)
    tensorlayer_files.read(folder / "w.npz")


def _weights(data: bytes, folder: Path) -> None:
    (folder / "w.npz").write_bytes(data)
    weights.load(_Model(), folder / "w.npz")  # type: ignore[arg-type]


class _Model:
    """Takes weights as a network of `_arrays` does."""

    def set_weights(self, arrays) -> None:
        if [array.shape for array in arrays] != [array.shape for array in _arrays()]:
            raise ValueError("of another network")


def _seen(data: bytes, folder: Path) -> None:
    (folder / "best.patients.npz").write_bytes(data)
    found = weight_records.read_record(folder / "best.npz")
    assert found is not None
    weight_records.check_start("w.npz", found, _SEEN, cross_fit=False)


_SEEN = weight_records.SeenPatients(
    patients=np.array(["a", "b"]),
    splits=np.array(["train", "test"]),
    fingerprints=np.eye(2, 4, dtype=np.float32),
    modalities=np.array(["flair", "flair"]),
)


def _seeds_seen() -> list[bytes]:
    return [_scratch(lambda folder: weight_records.write_record(folder / "best.npz", _SEEN))]


def _truth(data: bytes, folder: Path) -> None:
    (folder / "truth-train.npz").write_bytes(data)
    list(truth.truths(folder, "train"))
    truth.areas(folder, "train")


def _seeds_truth() -> list[bytes]:
    writer = truth.TruthWriter()
    for name in ("a", "b"):
        one = np.zeros(4, np.int32), np.zeros(2, np.int32), np.ones(3), np.array([1, 2])
        writer.add(truth.Truth(name, np.ones((2, 3, 4), bool), *one))
    return [_scratch(lambda folder: writer.write(folder, "train"))]


def _measured(data: bytes, folder: Path) -> None:
    (folder / "measured-flair.npz").write_bytes(data)
    volume_measures.read_measured(folder, "flair")


def _seeds_measured() -> list[bytes]:
    import dataclasses

    lengths = {"shape": 3, "spacing": 3, "file_spacing": 3, "file_shape": 3, "fingerprint": 4, "description": 4}
    lengths |= {"mean": 1, "squares": 1}
    columns = {"patients": np.array(["a", "b"])}
    for field in dataclasses.fields(volume_measures.Measured):
        length = lengths.get(field.name)
        columns[field.name] = np.ones((2, length) if length else 2)
    file = io.BytesIO()
    np.savez_compressed(file, **columns)
    return [file.getvalue()]


def _write_store(folder: Path) -> None:
    with Writer(folder, "train", {"image": ((2, 2, 1), "float32")}, codec="lz4", per_shard=2) as writer:
        for number, patient in enumerate("aab"):
            writer.write({"image": np.ones((2, 2, 1), np.float32)}, patient, slice_index=number, label=number % 2)


class _StoreSeeds:
    """A small store, written once: its index, an index that refers to it, and its first shard."""

    def __init__(self) -> None:
        import tempfile

        self.folder = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
        _write_store(self.folder)
        other = self.folder / "other"
        other.mkdir()
        write_reference(other, "train", store=(self.folder, "train"), patients=["b", "a"])
        self.index = (self.folder / "train.jsonl").read_bytes()
        self.reference = (other / "train.jsonl").read_bytes()
        self.shard = self.folder / "train-00000.tfrecord"
        self.shard_bytes = self.shard.read_bytes()
        self.dataset = Store(self.folder, "train").dataset(np.array([1, 0, 2]))


_STORES: list[_StoreSeeds] = []


def _store() -> _StoreSeeds:
    if not _STORES:
        _STORES.append(_StoreSeeds())
    return _STORES[0]


def _index(data: bytes, folder: Path) -> None:
    known = _store()
    (folder / "train.jsonl").write_bytes(data)
    if b'"store"' not in data:
        for path in known.folder.glob("*.tfrecord"):
            (folder / path.name).symlink_to(path)
    else:
        (folder / "..").resolve()
        data = data.replace(b'"store": ".."', f'"store": "{known.folder}"'.encode())
        (folder / "train.jsonl").write_bytes(data)
    index = read_index(folder, "train")
    assert len(index.places) == len(index.labels) == len(index.patients)


def _shard(data: bytes, folder: Path) -> None:
    """The records of a shard; TensorFlow's errors carry the text of an InputError."""
    from rembrandt_featgen.core.errors import carried_by

    known = _store()
    size = len(known.shard_bytes)
    known.shard.write_bytes(data[:size].ljust(size, b"\0"))
    try:
        list(known.dataset.as_numpy_iterator())
    except Exception as error:
        readable = carried_by(error)
        if readable is None:
            raise
        raise readable from error


def _stage(data: bytes, folder: Path) -> None:
    """A finished stage is found, and opened again by its binary."""
    place = folder / registry.folder("assign_folds")
    place.mkdir()
    (place / "stage.json").write_bytes(data)
    rundir.find(folder, "assign_folds")
    config = assign_folds.Config(run_dir=str(folder), cohort="c")
    with rundir.open_stage(config, "assign_folds") as stage:
        if not stage.done:
            raise InputError("begun anew")


def _seeds_stage() -> list[bytes]:
    config = {
        name: value for name, value in vars(assign_folds.Config(run_dir="x", cohort="c")).items() if name != "run_dir"
    }
    record = {"stage": "assign_folds", "config": json_files.plain(config), "inputs": {}, "figures": {"folds": []}}
    record |= {"classes": {"names": ["LGG", "HGG"], "positive": "HGG"}, "versions": {"rembrandt_featgen": "1"}}
    return [json.dumps(record).encode(), json.dumps({**record, "inputs": {"cohort": "0" * 64}}).encode()]


def _report(data: bytes, folder: Path) -> None:
    (folder / "report.json").write_bytes(data)
    name, path = pooled_tasks.find(f"x={folder}")
    report = pooled_tasks.read(name, path)
    pooled_tasks.tasks_of(name, report, path)
    pooled_tasks.generated(name, report, path)


def _seeds_report() -> list[bytes]:
    difference = {"difference": 0.1, "error": 0.05, "ci95": [0.0, 0.2], "trainings": 3}
    bengio = {"difference": 0.1, "ci95": [0.0, 0.2], "divisions": 3}
    arm = {"unit": "patient", "arm": "smote", "kind": "classical", "classifier": "ridge", "difference": difference}
    best = {"shots": 5, "arm": "gan", "classifier": "ridge", "difference": difference, "difference_to_none": difference}
    report = {
        "contrasts": [
            {"classifier": "ridge", "question": "best", "difference": difference},
            {"generator_once": True, "question": "ridge", "nadeau_bengio": bengio},
        ],
        "arms": [arm, {**arm, "kind": "none"}],
        "rows": [{**arm, "shots": 5}],
        "against_best": {"rows": [best], "largest": [0.1], "resamples": 100},
    }
    return [json.dumps(report).encode()]


def _split(data: bytes, folder: Path) -> None:
    (folder / "split.json").write_bytes(data)
    split_files.read_split(folder / "split.json")


def _patients(data: bytes, folder: Path) -> None:
    (folder / patient_files.FILE).write_bytes(data)
    patient_files.read_patients(folder)


def _journal(data: bytes, folder: Path) -> None:
    (folder / "journal.jsonl").write_bytes(data)
    json_files.resume_journal(folder / "journal.jsonl")


def _flagfile(data: bytes, folder: Path) -> None:
    first, *rest = parted(data)
    (folder / "f.txt").write_bytes(first.replace(b"OTHER", str(folder / "g.txt").encode()))
    if rest:
        (folder / "g.txt").write_bytes(rest[0].replace(b"OTHER", str(folder / "f.txt").encode()))
    cli.parse(assign_folds.Config, [f"--flagfile={folder / 'f.txt'}"])


def _names(data: bytes, folder: Path) -> None:
    """Each line is the name of a file in a cohort."""
    cohort = folder / "c"
    cohort.mkdir()
    for line in data.split(b"\n")[:60]:
        name, _, content = line.partition(b" <- ")
        path = cohort / name.decode("utf-8", "surrogateescape").strip("/")
        try:
            if ".." in path.parts or not name:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.replace(b"\\n", b"\n").replace(b"\\t", b"\t") or name)
        except (OSError, ValueError):  # no name that a file can have
            continue
    table = str(cohort / "t.csv") if (cohort / "t.csv").is_file() else ""
    layouts.find_cohort(cohort, modalities=("flair",), options=CohortOptions(labels_table=table))


def _seeds_names() -> list[bytes]:
    def of(*names: str) -> bytes:
        return "\n".join(names).encode()

    dataset = 'dataset.json <- {"channel_names": {"0": "flair"}, "modality": {"0": "FLAIR", "1": "t1"}}'
    pair = "a,b"
    bids = [("", "FLAIR"), ("derivatives/m/", "label-tumour_mask")]
    folders = ["images_structural/{0}/{0}_FLAIR", "images_segm/{0}_segm"]

    def table(first: str, second: str) -> str:
        return f"t.csv <- id,label\\n{first},LGG\\n{second},HGG\\n"

    rembrandt = [f"900-00-{n}_2005.03.22/900-00-{n}_2005.03.22" for n in (5299, 5300)]
    tcga, slices = [f"TCGA-02-000{n}_1996.08.23" for n in (6, 7)], [f"TCGA_CS_494{n}_19960909" for n in (1, 2)]
    upenn, ucsf = [f"UPENN-GBM-0000{n}_11" for n in (1, 2)], [f"UCSF-PDGM-000{n}" for n in (4, 5)]
    series = [("HGG", "MR_Flair.1"), ("HGG", "OT.2"), ("LGG", "MR_Flair.3"), ("LGG", "OT.4")]
    return [
        of(*(f"{grade}/p{grade}/p{grade}_{kind}.nii.gz" for grade in ("HGG", "LGG") for kind in ("flair", "seg"))),
        of(*(f"{grade}/{grade}/VSD.Brain.XX.O.{kind}/VSD.Brain.XX.O.{kind}.mha" for grade, kind in series)),
        of(
            "name_mapping.csv <- Grade,BraTS_2020_subject_ID\\nHGG,a\\nLGG,b",
            *(f"{name}/{name}_{kind}.nii" for name in pair.split(",") for kind in ("flair", "seg")),
        ),
        of(
            table("BraTS2021_00000", "BraTS2021_00001"),
            *(f"BraTS2021_0000{n}/BraTS2021_0000{n}_{kind}.nii" for n in (0, 1) for kind in ("flair", "seg")),
        ),
        of(
            table("BraTS-GLI-00005-000", "BraTS-GLI-00006-000"),
            *(f"BraTS-GLI-0000{n}-000/BraTS-GLI-0000{n}-000-{kind}.nii" for n in (5, 6) for kind in ("t2f", "seg")),
        ),
        of(
            table("900-00-5299", "900-00-5300"),
            *(f"{name}_{kind}.nii" for name in rembrandt for kind in ("flair_LPS_rSRI", "GlistrBoost")),
        ),
        of(table(*tcga), *(f"{name}_{kind}.nii" for name in tcga for kind in ("flair", "GlistrBoost"))),
        of(table(*slices), *(f"{name}/{name}_1{kind}.tif" for name in slices for kind in ("", "_mask"))),
        of(
            "participants.tsv <- participant_id\\tgroup\\nsub-01\\tcase\\nsub-02\\tcontrol",
            *(f"{below}sub-0{n}/ses-1/anat/sub-0{n}_ses-1_{kind}.nii" for n in (1, 2) for below, kind in bids),
        ),
        of(dataset, table("a", "b"), "imagesTr/a_0000.nii", "imagesTr/b_0000.nii", "labelsTr/a.nii", "labelsTr/b.nii"),
        of(dataset, table("a", "b"), "imagesTr/a.nii", "imagesTr/b.nii", "labelsTr/a.nii", "labelsTr/b.nii"),
        of(
            table(*upenn),
            *(f"{of_upenn.format(name)}.nii" for name in upenn for of_upenn in folders),
        ),
        of(
            "UCSF-PDGM-metadata_v2.csv <- ID,WHO CNS Grade\\nUCSF-PDGM-004,4\\nUCSF-PDGM-005,2",
            *(f"{name}_nifti/{name}_{kind}.nii" for name in ucsf for kind in ("FLAIR", "tumor_segmentation")),
        ),
        of(
            "manifest.csv <- patient,label,mask,flair\\na,0,m.nii,f.nii\\nb,1,n.nii,g.nii",
            "m.nii",
            "f.nii",
            "n.nii",
            "g.nii",
        ),
    ]


_NESTED = b'{"store": "..", "name": "train", "normalise": {"image": {"shift": [0], "scale": [1]}}}'
_CODE_RUN = "core/{rundir,json_files,folders}"
TARGETS = (
    Target(
        "tensorlayer",
        _tensorlayer,
        lambda: [
            _scratch(lambda folder: tensorlayer_files.write(folder / "w.npz", _arrays())),
            _scratch(lambda folder: weights.save(_arrays(), folder / "w.npz")),
        ],
        code="segmentation/tensorlayer_files",
        shape="zip",
        tokens=(*_NPY, b"numpy.core.multiarray", b"_reconstruct", b"cos\nsystem\n", b"\x94R", b"\x85", b"\x8c\x02f4"),
    ),
    Target(
        "weights",
        _weights,
        lambda: [_scratch(lambda folder: weights.save(_arrays(), folder / "w.npz"))],
        code="nn/weights core/array_files",
        shape="zip",
        tokens=_NPY,
    ),
    Target("weights_record", _seen, _seeds_seen, code="segmentation/weight_records", shape="zip", tokens=_NPY),
    Target("truth", _truth, _seeds_truth, code="data/truth", shape="zip", tokens=_NPY),
    Target("measured", _measured, _seeds_measured, code="data/volume_measures", shape="zip", tokens=_NPY),
    Target(
        "store_index",
        _index,
        lambda: [_store().index, _store().reference, _NESTED + b'\n{"patients": ["a"]}\n{"records": 2}\n'],
        code="data/store_index",
        shape="json lines",
        tokens=(b"train-00001.tfrecord", b"/dev/zero", b"..", b"codec", b"float32", b"zstd"),
    ),
    Target("store_shard", _shard, lambda: [_store().shard_bytes], code="data/store", alone=True),
    Target("stage", _stage, _seeds_stage, code=_CODE_RUN, shape="json", tokens=(b"config", b"inputs", b"versions")),
    Target("report", _report, _seeds_report, code="evaluation/pooled_tasks", shape="json"),
    Target(
        "split",
        _split,
        lambda: [b'{"train": {"LGG": ["a"], "HGG": ["b"]}, "validation": {"LGG": []}, "test": {"HGG": ["c"]}}'],
        code="cohort/{split_files,splits}",
        shape="json",
        tokens=(b"train", b"left_out", b"a"),
    ),
    Target(
        "patients",
        _patients,
        lambda: [b"patient,group,site,age\na,g,s,5\nb,h,,\n"],
        code="cohort/patient_files",
        shape="text",
    ),
    Target(
        "journal",
        _journal,
        lambda: [b'{"patient": "a", "x": NaN}\n{"patient": "b", "x": [1, 2]}\n{"pati'],
        code="core/json_files",
        shape="json lines",
    ),
    Target(
        "flagfile",
        _flagfile,
        lambda: [
            b"--run_dir=x\n--cohort=c\n# word\n--cv_folds=3\n--seed=1\n--modalities=flair,t1\n",
            joined(b"--run_dir=x\n--flagfile=OTHER\n", b"--cohort=c\n--flagfile=OTHER\n"),
        ],
        code="core/cli",
        shape="text",
        tokens=(b"--flagfile=OTHER", b"--flagfile=/dev/zero", b"--undefok=x", b"--help", b"--classes=a,b", b"--", b"-"),
    ),
    Target(
        "layouts",
        _names,
        _seeds_names,
        code="cohort/{layouts,known_layouts,case_files,brats_layouts,tcia_layouts,nnunet_layouts,bids_layout}",
        shape="text",
        tokens=(b"manifest.csv", b"HGG", b"LGG", b"imagesTr", b"sub-01", b"dataset.json", b"_flair.nii", b".nii.gz"),
    ),
)
