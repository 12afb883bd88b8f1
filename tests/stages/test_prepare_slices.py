"""The classes of a cohort, from its manifest to what the stage writes."""

import csv
import json
import shutil

import pytest

from rembrandt_featgen.cohort import phantom, split_files
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data.store import Store
from rembrandt_featgen.stages import assign_folds, make_phantom, prepare_slices

COUNTS = {"benign": 4, "malignant": 5}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """A cohort of benign and malignant lesions, with its manifest."""
    return phantom.write_phantom(tmp_path_factory.mktemp("cohort") / "cohort", COUNTS, size=32, slices=3)


def _renamed(cohort, path, names):
    """A copy of the cohort's manifest with other names of the classes."""
    with (cohort / "manifest.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    lines = [",".join(header)]
    for patient, label, *files in rows:
        lines.append(",".join([patient, names[label], *(str(cohort / entry) for entry in files)]))
    path.write_text("\n".join(lines) + "\n")
    return path


def _prepared(folder, cohort, **settings):
    prepare_slices.run(prepare_slices.Config(str(folder), str(cohort), image_size=32, **settings))
    return json.loads((folder / "slices" / "stage.json").read_text())


def test_a_known_pair_needs_no_flag(cohort, tmp_path):
    record = _prepared(tmp_path, cohort / "manifest.csv", test_counts=("Malignant:2", "benign:1"))
    assert record["classes"] == {"names": ["benign", "malignant"], "positive": "malignant"}
    figures = record["figures"]
    assert figures["patients"] == COUNTS
    assert figures["slices"] == {name: 3 * count for name, count in COUNTS.items()}
    assert figures["split"]["test"]["patients"] == {"benign": 1, "malignant": 2}
    split = json.loads((tmp_path / "slices" / "split.json").read_text())
    assert {name: {label: len(ids) for label, ids in groups.items()} for name, groups in split.items()} == {
        name: entry["patients"] for name, entry in figures["split"].items()
    }
    truth = json.loads((cohort / "phantom.json").read_text())["patients"]
    for name in ("train", "validation", "test"):
        store = Store(tmp_path / "slices", name)
        assert store.labels.tolist() == [int(truth[patient]["label"] == "malignant") for patient in store.patients]


def test_an_unknown_pair_needs_the_flag(cohort, tmp_path):
    path = _renamed(cohort, tmp_path / "cohort.csv", {"benign": "wild type", "malignant": "Mutant"})
    with pytest.raises(InputError, match="class Mutant, wild type,.*--classes=Mutant,wild type") as caught:
        _prepared(tmp_path / "run", path)
    assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / "run" / "slices").exists()
    record = _prepared(tmp_path / "run", path, classes=("wild type", "mutant"))
    assert record["classes"] == {"names": ["wild type", "mutant"], "positive": "mutant"}
    assert record["figures"]["patients"] == {"wild type": 4, "mutant": 5}


def test_the_positive_class_changes_labels_alone(cohort, tmp_path):
    """The same split, by --split_file; the class that is named last has label 1."""
    _prepared(tmp_path / "a", cohort)
    split = str(tmp_path / "a" / "slices" / "split.json")
    record = _prepared(tmp_path / "b", cohort, classes=("malignant", "benign"), split_file=split)
    assert record["classes"]["positive"] == "benign"
    one, other = (Store(tmp_path / run / "slices", "train") for run in "ab")
    assert one.patients == other.patients
    assert (one.labels + other.labels == 1).all()


def test_three_classes_are_prepared(cohort, tmp_path):
    path = _renamed(cohort, tmp_path / "cohort.csv", {"benign": "a", "malignant": "b"})
    path.write_text(path.read_text().replace(",b,", ",c,", 3))
    record = _prepared(tmp_path / "run", path, classes=("a", "b", "c"), test_counts=("a:1", "b:0", "c:1"))
    assert record["classes"] == {"names": ["a", "b", "c"], "positive": "c"}
    assert record["figures"]["patients"]["c"] == 3


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (
            ("benign", "mutant"),
            "line 2: patient PHANTOM_.* is of class 'malignant', which is none of --classes=benign,mutant; correct",
        ),
        (("LGG", "HGG"), "grade 'malignant' is not known; write LGG .* name other classes with --classes"),
    ],
)
def test_classes_that_the_cohort_does_not_have(cohort, names, words, tmp_path):
    with pytest.raises(InputError, match=words):
        _prepared(tmp_path, cohort / "manifest.csv", classes=names)


@pytest.mark.parametrize("names", [("LGG", "HGG"), ("control", "case"), ("wild", "mutant")])
def test_phantom_of_any_classes_is_read_and_divided(names, tmp_path):
    flags = {"run_dir": str(tmp_path), "classes": names if names[0] == "wild" else ()}
    counts = (f"{names[1]}:4", f"{names[0]}:4")
    make_phantom.run(make_phantom.Config(phantom_counts=counts, phantom_size=32, phantom_slices=3, **flags))
    prepare_slices.run(prepare_slices.Config(image_size=32, **flags))
    assign_folds.run(assign_folds.Config(cv_folds=2, cv_seeds=1, validation_fraction=0.3, **flags))
    for folder in ("phantom", "slices", "folds"):
        record = json.loads((tmp_path / folder / "stage.json").read_text())
        assert record["classes"] == Classes.of(names).record
    fold = json.loads((tmp_path / "folds" / "repeat0_seed0_fold0.json").read_text())
    assert {name: len(ids) for name, ids in fold["test"].items()} == dict.fromkeys(names, 2)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"phantom_counts": ("LGG",)}, "--phantom_counts=LGG: write it as"),
        ({"phantom_counts": ("LGG:1", "lgg:2")}, "--phantom_counts=LGG:1,lgg:2: write it as .*each class once"),
        ({"phantom_counts": ("LGG:1", "HGG:x")}, "--phantom_counts=LGG:1,HGG:x: write it as"),
        ({"phantom_counts": ("HGG:3",)}, "--phantom_counts has LGG:0"),
        ({"phantom_counts": ("wild:1", "mutant:1")}, "--phantom_counts=wild:1,mutant:1 has patients of class mutant"),
        (
            {"classes": ("benign", "malignant")},
            "--phantom_counts=LGG:24,HGG:36: these are not the classes of --classes=benign,malignant",
        ),
    ],
)
def test_counts_that_do_not_fit(settings, words, tmp_path):
    with pytest.raises(InputError, match=words):
        make_phantom.run(make_phantom.Config(run_dir=str(tmp_path), **settings))
    assert not (tmp_path / "phantom").exists()


def _with_columns(cohort, path, columns):
    """A copy of the cohort's manifest with further columns, each from the number of a patient to its cell."""
    with (cohort / "manifest.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    lines = [",".join([*header, *columns])]
    for number, (patient, label, *files) in enumerate(rows):
        more = [str(make(number)) for make in columns.values()]
        lines.append(",".join([patient, label, *(str(cohort / entry) for entry in files), *more]))
    path.write_text("\n".join(lines) + "\n")
    return path


def test_groups_sites_and_covariates_of_a_manifest(cohort, tmp_path):
    columns = {"group": lambda n: f"g{n // 2 if n < 4 else n}", "site": lambda n: "AB"[n % 2], "age": lambda n: 40 + n}
    path = _with_columns(cohort, tmp_path / "cohort.csv", {**columns, "kind": lambda n: "case" if n > 4 else "control"})
    settings = {"label_column": "kind", "covariates": ("age", "site"), "test_fraction": 0.3}
    record = _prepared(tmp_path / "run", path, **settings)
    assert record["classes"]["names"] == ["control", "case"]
    known = (tmp_path / "run" / "slices" / "patients.csv").read_text().splitlines()
    assert known[0] == "patient,group,site,age"
    assert [line.split(",")[1:] for line in known[1:4]] == [["g0", "A", "40"], ["g0", "B", "41"], ["g1", "A", "42"]]
    split = split_files.read_split(tmp_path / "run" / "slices" / "split.json")
    names = [line.split(",")[0] for line in known[1:]]
    assert (split[names[0]], split[names[2]]) == (split[names[1]], split[names[3]])
    divided = json.loads((tmp_path / "run" / "slices" / "split.json").read_text())
    moved = next(part for part in ("train", "validation", "test") if names[0] in divided[part]["control"])
    divided[moved]["control"].remove(names[0])
    divided["test" if moved != "test" else "train"]["control"].append(names[0])
    (tmp_path / "split.json").write_text(json.dumps(divided))
    with pytest.raises(InputError, match="split.json divides the group g0"):
        _prepared(tmp_path / "other", path, **settings, split_file=str(tmp_path / "split.json"))
    with pytest.raises(InputError, match="--covariates=site: no site is known"):
        _prepared(tmp_path / "other", cohort, covariates=("site",))


def test_folds_leave_sites_out_by_their_column(cohort, tmp_path):
    """Sites may be named as people write them; a group that lies at two sites is refused."""
    columns = {"site": lambda n: ("St. Mary's / Leeds", "st. mary's + Leeds")[n % 2]}
    path = _with_columns(cohort, tmp_path / "cohort.csv", columns)
    settings = {"cv_grouping": "site", "cv_seeds": 1, "validation_fraction": 0.3}
    assign_folds.run(assign_folds.Config(str(tmp_path), str(path), **settings))
    figures = json.loads((tmp_path / "folds" / "stage.json").read_text())["figures"]
    assert [fold["fold"] for fold in figures["folds"]] == ["St. Mary's / Leeds", "st. mary's + Leeds"]
    assert [fold["name"] for fold in figures["folds"]] == [
        "repeat0_seed0_St._Mary_s___Leeds",
        "repeat0_seed0_st._mary_s_+_Leeds",
    ]
    for fold in figures["folds"]:
        split = split_files.read_split(tmp_path / "folds" / f"{fold['name']}.json")
        assert {figures["sites"][name] for name in split if split[name] == "test"} == {fold["fold"]}
    _with_columns(cohort, path, {**columns, "group": lambda n: n // 2})
    with pytest.raises(InputError, match="group 0 has patients of"):
        assign_folds.run(assign_folds.Config(str(tmp_path / "other"), str(path), **settings))


def test_a_patient_under_two_names(cohort, tmp_path):
    """Refused where a split could divide them: not in one group, nor where the user knows them to be two."""
    with (cohort / "manifest.csv").open(newline="") as file:
        (header, first, *rows) = csv.reader(file)
    copies = [str(shutil.copy(cohort / path, tmp_path / path.rpartition("/")[2])) for path in first[2:]]
    lines = [
        [*header, "group"],
        [*first, first[0]],
        ["ALIAS", first[1], *copies, "ALIAS"],
        *([*row, row[0]] for row in rows),
    ]

    def written(group):
        lines[2][-1] = group
        absolute = [[*row[:2], *(str(cohort / path) for path in row[2:-1]), row[-1]] for row in lines[1:]]
        path = tmp_path / f"{group}.csv"
        path.write_text("\n".join(",".join(row) for row in [lines[0], *absolute]) + "\n")
        return path

    with pytest.raises(InputError, match=r"ALIAS .* hold the same volume .*--look_alikes=allow") as caught:
        _prepared(tmp_path / "refused", written("ALIAS"))
    assert len(str(caught.value).splitlines()) == 1
    assert (
        _prepared(tmp_path / "allowed", written("ALIAS"), look_alikes="allow")["figures"]["patients"][first[1]]
        == COUNTS[first[1]] + 1
    )
    assert _prepared(tmp_path / "one", written(first[0]))["figures"]["patients"][first[1]] == COUNTS[first[1]] + 1
