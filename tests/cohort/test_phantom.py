import json

import numpy as np
import pytest
from scipy import ndimage

from rembrandt_featgen.cohort import layouts, phantom, volumes
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.cohort.phantom_rendering import render
from rembrandt_featgen.cohort.who_grades import GLIOMAS
from rembrandt_featgen.core.errors import InputError

SMALL = {"size": 64, "slices": 6}
ONE_EACH = {"LGG": 1, "HGG": 1}


def _files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _read(patient):
    image = volumes.read_volume(patient.images["flair"])
    return image.voxels, volumes.read_placed_mask(patient.mask, image).voxels


@pytest.fixture(scope="module")
def easy(tmp_path_factory):
    """Patients, with image and mask, of a cohort whose classes do not overlap."""
    folder = phantom.write_phantom(
        tmp_path_factory.mktemp("easy") / "cohort", {"LGG": 6, "HGG": 8}, difficulty=0, **SMALL
    )
    return folder, [(patient, *_read(patient)) for patient in layouts.find_cohort(folder).patients]


def test_is_a_brats2017_cohort(easy):
    folder, patients = easy
    labels = [patient.label for patient, _, _ in patients]
    assert (labels.count("HGG"), labels.count("LGG")) == (8, 6)
    assert labels != sorted(labels)  # ids do not give the class away
    assert labels != sorted(labels, reverse=True)
    record = json.loads((folder / "phantom.json").read_text())
    assert record["cohort"] == {
        "counts": {"LGG": 6, "HGG": 8},
        "classes": {"names": ["LGG", "HGG"], "positive": "HGG"},
        "difficulty": 0,
        "seed": 0,
        "modalities": ["flair"],
        **SMALL,
    }
    assert {name: entry["label"] for name, entry in record["patients"].items()} == {
        p.id: p.label for p, _, _ in patients
    }
    assert not (folder / "manifest.csv").exists()
    assert not folder.with_name("cohort.part").exists()


def test_volumes_look_like_flair(easy):
    for _, image, mask in easy[1]:
        assert image.shape == mask.shape == (64, 64, 6)
        brain = image > 0
        assert 0.2 < brain.mean() < 0.5
        assert not brain[[0, -1]].any()  # skull-stripped, with a margin
        assert not brain[:, [0, -1]].any()
        assert 250 < image[brain].mean() < 900
        tissue = brain & ~ndimage.binary_dilation(mask, iterations=2)
        assert image[mask > 0].mean() > 1.2 * image[tissue].mean()
        assert not mask[~ndimage.binary_closing(brain, np.ones((3, 3, 1)))].any()


def test_area_is_as_drawn(easy):
    folder, patients = easy
    drawn = json.loads((folder / "phantom.json").read_text())["patients"]
    for patient, _, mask in patients:
        shares = mask.mean((0, 1))
        assert 0.019 < drawn[patient.id]["area"] < 0.061
        assert shares.max() == pytest.approx(drawn[patient.id]["area"], rel=0.25)
        assert min(shares[0], shares[-1]) < 0.5 * shares.max()  # it tapers


def test_classes_differ_visibly_when_easy(easy):
    spread = {name: [] for name in GLIOMAS}
    area = {name: [] for name in GLIOMAS}
    for patient, image, mask in easy[1]:
        inside = image[mask > 0]
        spread[patient.label].append(inside.std() / inside.mean())
        area[patient.label].append(mask.mean((0, 1)).max())
    assert max(spread["LGG"]) < min(spread["HGG"])
    assert max(area["LGG"]) < min(area["HGG"])


def test_a_threshold_does_not_segment():
    dice = []
    for index in range(6):
        generator = np.random.default_rng(index)
        drawn = {**phantom.draw_look(generator, index % 2, 0.5), **phantom.draw_anatomy(generator)}
        images, mask = render(generator, drawn, size=96, slices=6)
        image = images["flair"]
        guess = image > 1.35 * np.median(image[image > 0])
        dice.append(2 * (guess & (mask > 0)).sum() / (guess.sum() + mask.sum()))
    assert np.mean(dice) < 0.9


@pytest.mark.parametrize("name", phantom.LOOKS)
def test_difficulty_is_the_overlap(name):
    low, high = sorted(phantom.LOOKS[name])

    def values(label, difficulty):
        generator = np.random.default_rng(label)
        return np.array([phantom.draw_look(generator, label, difficulty)[name] for _ in range(500)])

    assert max(values(0, 0.0)) <= low + 0.4 * (high - low) + 1e-9
    assert min(values(1, 0.0)) >= low + 0.6 * (high - low) - 1e-9
    alike = [phantom.draw_look(np.random.default_rng(5), label, 1.0) for label in (0, 1)]
    assert alike[0] == alike[1]  # the same chance gives the same look, whatever the class
    apart = values(1, 0.5).mean() - values(0, 0.5).mean()
    assert apart == pytest.approx(0.3 * (high - low), rel=0.25)


def test_reproducible_and_seeded(tmp_path):
    # In any order of the counts.
    first = _files(phantom.write_phantom(tmp_path / "a", {"LGG": 1, "HGG": 2}, **SMALL))
    again = _files(phantom.write_phantom(tmp_path / "b", {"HGG": 2, "LGG": 1}, **SMALL))
    assert {k: v for k, v in again.items() if k != "phantom.json"} == {
        k: v for k, v in first.items() if k != "phantom.json"
    }
    other = _files(phantom.write_phantom(tmp_path / "c", {"LGG": 1, "HGG": 2}, seed=1, **SMALL))
    assert not set(other.values()) & set(first.values())


def test_patients_do_not_depend_on_their_number(tmp_path):
    few = _files(phantom.write_phantom(tmp_path / "few", {"LGG": 2, "HGG": 1}, **SMALL))
    many = _files(phantom.write_phantom(tmp_path / "many", {"LGG": 3, "HGG": 3}, **SMALL))
    del few["phantom.json"]
    assert few.items() <= many.items()


def test_modalities_of_brats(tmp_path):
    """FLAIR is the same whatever is made beside it; fluid is bright in T2, a lesion in T1ce and T2, neither in T1."""
    alone = _files(phantom.write_phantom(tmp_path / "alone", ONE_EACH, **SMALL))
    names = ("flair", "t1", "t1ce", "t2")
    folder = phantom.write_phantom(tmp_path / "all", ONE_EACH, modalities=names, **SMALL)
    del alone["phantom.json"]
    assert alone.items() <= _files(folder).items()
    for patient in layouts.find_cohort(folder, modalities=names).patients:
        read = volumes.read_volumes([patient.images[name] for name in names])
        images = {name: volume.voxels for name, volume in zip(names, read)}
        lesion, flair = volumes.read_placed_mask(patient.mask, read[0]).voxels > 0, images["flair"]
        brain = flair > 0
        white, fluid = (
            brain & ~lesion & (flair > np.median(flair[brain])),
            brain & (flair < 0.4 * np.median(flair[brain])),
        )
        level = {name: [images[name][part].mean() for part in (fluid, white, lesion)] for name in names}
        assert level["t1"][0] < level["t1"][1] > level["t1"][2]
        assert level["t1ce"][0] < level["t1ce"][1] < level["t1ce"][2]
        assert level["t2"][0] > level["t2"][1] < level["t2"][2]
    with pytest.raises(InputError, match="--modalities=flair,dwi: the phantom has flair, t1, t1ce, t2; take some"):
        phantom.write_phantom(tmp_path / "b", ONE_EACH, modalities=("flair", "dwi"), **SMALL)


def test_an_earlier_phantom_is_replaced(tmp_path):
    (tmp_path / "a.part/HGG/killed").mkdir(parents=True)
    phantom.write_phantom(tmp_path / "a", {"LGG": 2, "HGG": 2}, **SMALL)
    phantom.write_phantom(tmp_path / "a", ONE_EACH, **SMALL)
    assert len(layouts.find_cohort(tmp_path / "a").patients) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_another_folder_is_not_replaced(tmp_path):
    (tmp_path / "mine.txt").touch()
    with pytest.raises(InputError, match="no phantom cohort; choose another --run_dir"):
        phantom.write_phantom(tmp_path, ONE_EACH, **SMALL)
    assert (tmp_path / "mine.txt").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("size", 16),
        ("slices", 2),
        ("difficulty", 1.1),
        ("difficulty", -0.1),
        ("difficulty", float("nan")),
        ("seed", -1),
    ],
)
def test_refused(tmp_path, name, value):
    with pytest.raises(InputError, match=f"--phantom_{name}={value} .*give a value from") as caught:
        phantom.write_phantom(tmp_path / "a", **{name: value})
    assert len(str(caught.value).splitlines()) == 1
    assert str(tmp_path / "a") in str(caught.value)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("counts", "word"),
    [
        ({"LGG": 3, "HGG": 0}, "HGG:0"),
        ({"LGG": -1, "HGG": 3}, "LGG:-1"),
        ({"LGG": 5001, "HGG": 3}, "LGG:5001"),
        ({"LGG": 3}, "HGG:0"),
    ],
)
def test_counts_refused(tmp_path, counts, word):
    with pytest.raises(InputError, match=f"--phantom_counts has {word} .*give a value from 1 to 5000") as caught:
        phantom.write_phantom(tmp_path / "a", counts, **SMALL)
    assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("counts", "names"),
    [({"Benign": 2, "malignant": 1}, None), ({"mutant": 2, "wild": 1}, ("wild", "mutant"))],
)
def test_other_classes_come_with_a_manifest(tmp_path, counts, names):
    """Known pairs and others: the volumes are those of LGG and HGG in order of the labels."""
    classes = None if names is None else Classes.of(names)
    folder = phantom.write_phantom(tmp_path / "a", counts, classes=classes, **SMALL)
    cohort = layouts.find_cohort(folder, names=names or ())
    assert cohort.classes.names == (names or ("benign", "malignant"))
    assert sorted(patient.label for patient in cohort.patients) == sorted(
        [cohort.classes.match(name) for name, count in counts.items() for _ in range(count)]
    )
    by_label = {cohort.classes.match(name): count for name, count in counts.items()}
    alike = {glioma: by_label[name] for glioma, name in zip(GLIOMAS, cohort.classes.names)}
    gliomas = layouts.find_cohort(phantom.write_phantom(tmp_path / "b", alike, **SMALL))
    for one, other in zip(cohort.patients, gliomas.patients):
        assert cohort.classes.label(one.label) == gliomas.classes.label(other.label)
        assert one.mask.read_bytes() == other.mask.read_bytes()
    assert not list(folder.rglob("*.part"))


def test_unknown_pair_needs_classes(tmp_path):
    with pytest.raises(InputError, match="--phantom_counts has patients of class mutant, wild.*--classes"):
        phantom.write_phantom(tmp_path / "a", {"mutant": 1, "wild": 1}, **SMALL)


def test_gliomas_look_as_they_do_in_any_order(tmp_path):
    first = _files(phantom.write_phantom(tmp_path / "a", ONE_EACH, **SMALL))
    swapped = _files(phantom.write_phantom(tmp_path / "b", ONE_EACH, classes=Classes.of(("HGG", "LGG")), **SMALL))
    del first["phantom.json"], swapped["phantom.json"]
    assert first == swapped


def test_fresh_patients_are_others_and_do_not_depend_on_the_cohort(tmp_path):
    """Who is there for tests alone is nobody of any larger --phantom_counts, and the same beside any."""
    small = phantom.write_phantom(tmp_path / "small", ONE_EACH, test_counts={"LGG": 1, "HGG": 2}, size=32, slices=3)
    large = phantom.write_phantom(
        tmp_path / "large", {"LGG": 5, "HGG": 4}, test_counts={"HGG": 3, "LGG": 1}, size=32, slices=3
    )
    alone = phantom.write_phantom(tmp_path / "alone", {"LGG": 5, "HGG": 4}, size=32, slices=3)
    fresh, more = phantom.fresh_patients(small), phantom.fresh_patients(large)
    assert len(fresh) == 3 and len(more) == 4 and fresh < more
    ids = {folder: {one.id for one in layouts.find_cohort(folder).patients} for folder in (small, large, alone)}
    assert ids[alone] == ids[large] - more and not fresh & ids[alone]
    assert phantom.fresh_patients(alone) == phantom.fresh_patients(tmp_path / "no.csv") == frozenset()
    first, second = _files(small), _files(large)
    shared = [name for name in first if any(one in name for one in fresh)]
    assert len(shared) == 6 and all(first[name] == second[name] for name in shared)


def test_fresh_patients_of_every_class(tmp_path):
    for counts, words in (({"LGG": 3}, "count for each class"), ({"LGG": 3, "HGG": 4999}, "from 1 to 4998")):
        with pytest.raises(InputError, match=f"--phantom_test_counts=.*{words}"):
            phantom.write_phantom(tmp_path / "cohort", {"LGG": 1, "HGG": 2}, test_counts=counts, **SMALL)
