"""Which points a sweep has, and what they share with the base run; tests/test_pipeline.py says that they are learnt."""

import dataclasses
import errno
import os
from pathlib import Path

import pytest

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core import json_files, registry, rundir
from rembrandt_featgen.core.errors import BusyError, InputError, SettingsError
from rembrandt_featgen.evaluation import sweep_sharing
from rembrandt_featgen.stages import (
    extract_features,
    generate_synthetic,
    run_sweep,
    train_classifiers,
    train_generators,
    train_unet,
)

CLASSES = {"names": ["LGG", "HGG"], "positive": "HGG"}
MODULES = (train_unet, extract_features, train_generators, generate_synthetic, train_classifiers)


@pytest.fixture
def base(tmp_path):
    """A finished run with 30 HGG and, unless told, 20 LGG training slices, as far as a sweep reads it."""

    def make(lgg=20, **changes):
        (kind,) = changes.get("generators", ("acgan",))
        for module in MODULES:
            name = module.__name__.rpartition(".")[2]
            folder = registry.folder(name, kind)
            known = {field.name for field in dataclasses.fields(module.Config)}
            config = module.Config(run_dir="", **{key: value for key, value in changes.items() if key in known})
            config = {key: value for key, value in dataclasses.asdict(config).items() if key != "run_dir"}
            record = {"stage": name, "config": config, "inputs": {}, "figures": {"tap": "conv5", "epochs": 1}}
            record["classes"] = Classes.of(("LGG", "HGG")).record
            (tmp_path / folder).mkdir(exist_ok=True)
            json_files.write_json(tmp_path / folder / "stage.json", {**record, "kind": kind})
        (tmp_path / "slices").mkdir(exist_ok=True)
        slices = {
            "config": {},
            "inputs": {},
            "classes": CLASSES,
            "figures": {"split": {"train": {"slices": {"HGG": 30, "LGG": lgg}}}},
        }
        json_files.write_json(tmp_path / "slices" / "stage.json", slices)
        return tmp_path

    return make


def points(run_dir, **flags):
    return run_sweep.find_points(run_sweep.Config(run_dir=str(run_dir), **flags), run_sweep.find_base(str(run_dir)))


def test_axes_hold_the_runs_own_value_in_order(base):
    run_dir = base(ndf=128, ngf=128, unet_weights="w.npz", gan_loss="reference")
    flags = {"sweep_generators": ("cgan", "infogan"), "sweep_reference": ("gan_loss", "augmentation", "gan_networks")}
    flags |= {"sweep_filters": ("256", "64"), "sweep_taps": ("uconv1", "conv3"), "sweep_from_scratch": True}
    found = points(run_dir, **flags)
    assert [(point.name, point.reference) for point in found] == [
        ("start=pre-trained", False),
        ("start=scratch", True),
        ("implementation=gan_loss", True),
        ("implementation=augmentation+gan_loss", False),
        ("implementation=correct", False),
        ("implementation=gan_loss+gan_networks", False),
        ("tap=conv3", False),
        ("tap=conv5", True),
        ("tap=uconv1", False),
        ("gan=acgan", True),
        ("gan=infogan", False),
        ("gan=cgan", False),
        ("filters=64", False),
        ("filters=128", True),
        ("filters=256", False),
    ]


def test_curve_of_the_minority_class_ends_where_classes_are_equal(base):
    found = points(base(synthetic_added=25), sweep_added=("0", "9", "10", "50", "all"))
    assert [point.name for point in found] == [
        "added=0",
        "added=9",
        "added=10",
        "added=25",
        "added=50",
        "added=all",  # 25 is the run's
        "balancing=9",
        "balancing=all",  # 10 is all
    ]
    assert [point.arms for point in found] == [("baseline",), *[("augmented",)] * 7]
    assert found[-1].changes == {"synthetic_added": 0, "synthetic_to": "minority"}


def test_classes_that_are_equal_lack_nothing_but_can_be_given_all(base):
    found = points(base(lgg=30, synthetic_added=0, synthetic_to="LGG"), sweep_added=("9",), sweep_added_to=("LGG",))
    assert [point.name for point in found] == ["added=0", "added_LGG=9", "added_LGG=all"]  # all is the run's
    found = points(base(lgg=30), sweep_added=("all",), sweep_added_to=("all", "minority", "HGG", "LGG"))
    assert [point.name for point in found] == ["added=0", "added=1158", "added=all", "added_HGG=all", "added_LGG=all"]


def test_a_run_from_scratch_has_no_other_start(base):
    assert points(base(), sweep_from_scratch=True) == []


def test_modes_that_the_run_does_not_heed_are_left_out(base, caplog):
    run_dir = base(augment=False, generators=("cgan",))
    found = points(run_dir, sweep_reference=("augmentation", "gan_loss", "gan_networks"))
    assert [point.name for point in found] == ["implementation=correct", "implementation=gan_networks"]
    assert "--sweep_reference=augmentation: the run has --augment=false" in caplog.text
    assert "--sweep_reference=gan_loss: the run's cgan has no class term" in caplog.text


def test_a_run_with_a_third_way_to_augment_is_called_what_it_is(base, caplog):
    found = points(base(augmentation="standard"), sweep_reference=("augmentation", "gan_loss"))
    assert [(point.value, point.changes, point.reference) for point in found] == [
        ("standard_augmentation", {}, True),
        ("standard_augmentation+gan_loss", {"gan_loss": "reference"}, False),
    ]
    assert "--sweep_reference=augmentation: the run has --augmentation=standard, which is neither" in caplog.text


def test_without_axes_nothing_is_done(tmp_path):
    run_sweep.run(run_sweep.Config(run_dir=str(tmp_path / "none")))
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"sweep_taps": ("conv6",)}, "--sweep_taps=conv6: 'conv6' is not known; take some of conv1"),
        ({"sweep_generators": ("acgan", "gan")}, "--sweep_generators=acgan,gan: 'gan' is not known"),
        (
            {"sweep_reference": ("unet",)},
            "--sweep_reference=unet: 'unet' is not known; take some of augmentation, gan_loss",
        ),
        ({"sweep_filters": ("64", "many")}, "--sweep_filters=64,many: write whole numbers"),
        ({"sweep_filters": ("0",)}, "--sweep_filters=0: each must be from 1 on"),
        ({"sweep_added": ("-1",)}, "--sweep_added=-1: each must be from 0 on"),
        (
            {"sweep_added": ("1",), "sweep_added_to": ()},
            "--sweep_added_to= names none; take some of",
        ),
    ],
)
def test_bad_values_are_refused(flags, message):
    with pytest.raises(InputError, match=message):
        run_sweep.run(run_sweep.Config(run_dir="never looked at", **flags))


def test_a_class_that_the_run_lacks_is_refused(base):
    with pytest.raises(InputError, match="--sweep_added_to=case: 'case' is not known; take some of all, minority, LGG"):
        points(base(), sweep_added=("1",), sweep_added_to=("case",))


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), BusyError("another process is at work")])
def test_a_full_disk_fails_a_point_and_another_process_stops_the_sweep(base, monkeypatch, error):
    def learnt(name, config):
        raise error

    if isinstance(error, BusyError):
        with pytest.raises(BusyError):
            learn(base(), monkeypatch, learnt, sweep_filters=("5",))
    else:
        notes = learn(base(), monkeypatch, learnt, sweep_filters=("5",))
        assert "No space left" in notes["filters=5"]


def learn(run_dir, monkeypatch, learnt, **flags):
    """Learns the points of a sweep with stages that only note who is there; returns notes by point."""
    for module in MODULES:
        name = module.__name__.rpartition(".")[2]
        monkeypatch.setattr(module, "run", lambda config, name=name: learnt(name, config))
    base = run_sweep.find_base(str(run_dir))
    return {point.name: sweep_sharing.learn(base, point) for point in points(run_dir, **flags)}


def test_points_learn_what_they_do_not_share(base, monkeypatch):
    run_dir, seen = base(ndf=64, ngf=64, synthetic_added=5, unet_weights="w.npz"), []
    flags = {"sweep_filters": ("64", "8"), "sweep_taps": ("conv3",), "sweep_added": ("5", "7")}
    flags |= {"sweep_generators": ("infogan",), "sweep_reference": ("augmentation", "gan_loss", "gan_networks")}
    flags["sweep_added_to"] = ("all", "minority", "LGG")
    notes = learn(run_dir, monkeypatch, lambda *args: seen.append(args), sweep_from_scratch=True, **flags)
    assert set(notes.values()) == {""}
    found = {}
    for name, config in seen:
        found.setdefault(config.run_dir.rpartition("/")[2], []).append(name)
    assert found == {
        "start=scratch": ["train_unet"],
        "implementation=augmentation": [
            "train_unet",
            "extract_features",
            "train_generators",
            "generate_synthetic",
            "train_classifiers",
        ],
        "implementation=gan_loss": ["train_generators", "generate_synthetic", "train_classifiers"],
        "implementation=gan_networks": ["train_generators", "generate_synthetic", "train_classifiers"],
        "tap=conv3": ["extract_features", "train_generators", "generate_synthetic", "train_classifiers"],
        "gan=infogan": ["train_generators", "generate_synthetic", "train_classifiers"],
        "filters=8": ["train_generators", "generate_synthetic", "train_classifiers"],
        "added=7": ["train_classifiers"],
        "balancing=5": ["train_classifiers"],
        "balancing=7": ["train_classifiers"],
        "added_LGG=5": ["train_classifiers"],
        "added_LGG=7": ["train_classifiers"],
    }
    by_name = {(name, config.run_dir.rpartition("/")[2]): config for name, config in seen}
    assert by_name["train_unet", "start=scratch"].unet_weights == ""
    assert by_name["train_unet", "implementation=augmentation"].augmentation == "reference"
    assert by_name["train_generators", "implementation=gan_loss"].gan_loss == "reference"
    assert by_name["train_generators", "implementation=gan_networks"].gan_networks == "reference"
    assert by_name["train_classifiers", "implementation=gan_networks"].classifier_arms == ("augmented",)
    assert by_name["extract_features", "tap=conv3"].tap == "conv3"
    assert {
        by_name[stage, "gan=infogan"].generators
        for stage in ("train_generators", "generate_synthetic", "train_classifiers")
    } == {("infogan",)}
    gan, classifier = by_name["train_generators", "filters=8"], by_name["train_classifiers", "filters=8"]
    assert (gan.ndf, gan.ngf, gan.generators) == (8, 8, ("acgan",))
    assert (classifier.classifier_arms, classifier.classifier_kinds) == (("augmented",), ("cnn",))
    assert classifier.synthetic_added == 5
    home = run_dir / "sweep_points" / "filters=8"
    assert (home / "features").resolve() == run_dir / "features" and not (home / "generator_acgan").exists()


def test_what_the_run_has_of_another_gan_is_shared_while_it_fits(base, monkeypatch):
    """As --generators=acgan,cgan leaves it."""
    base(generators=("cgan",))
    run_dir, seen = base(), []
    home = run_dir / "sweep_points" / "gan=cgan"
    learn(run_dir, monkeypatch, lambda name, _: seen.append(name), sweep_generators=("cgan",))
    assert seen == ["train_classifiers"]
    assert {path.name for path in home.iterdir()} == {"slices", "unet", "features", "generator_cgan", "synthetic_cgan"}
    record = json_files.read_json(run_dir / "generator_cgan" / "stage.json")
    json_files.write_json(run_dir / "generator_cgan" / "stage.json", {**record, "inputs": {"features": "others"}})
    learn(run_dir, monkeypatch, lambda name, _: seen.append(name), sweep_generators=("cgan",))
    assert seen[1:] == ["train_generators", "generate_synthetic", "train_classifiers"]
    assert not (home / "generator_cgan").exists()


def test_a_gan_of_slices_is_shared_by_all_taps(base, monkeypatch):
    seen = []
    run_dir = base(generators=("image_acgan",))
    learn(run_dir, monkeypatch, lambda name, _: seen.append(name), sweep_taps=("crop_cnn",))
    assert seen == ["extract_features", "generate_synthetic", "train_classifiers"]
    assert (run_dir / "sweep_points" / "tap=crop_cnn" / "generator_image_acgan").is_symlink()


def test_a_point_that_fails_says_why_and_leaves_nothing_stale(base, monkeypatch):
    run_dir = base()
    stale = run_dir / "sweep_points" / "filters=8" / "classifiers"
    stale.mkdir(parents=True)

    def fails(name, config):
        if name == "generate_synthetic":
            raise InputError("it is all NaN")

    notes = learn(run_dir, monkeypatch, fails, sweep_filters=("8",))
    assert notes == {"filters=8": "generate_synthetic: it is all NaN", "filters=512": ""}
    assert not stale.exists()


def test_points_made_by_other_settings_stop_the_sweep(base, monkeypatch):
    def refuses(name, config):
        raise SettingsError("made by other settings")

    with pytest.raises(SettingsError):
        learn(base(), monkeypatch, refuses, sweep_filters=("8",))


def test_what_a_point_comes_to_share_is_linked(base, monkeypatch):
    """Its own folder gives way once the base run has the same, and the link once it has not."""
    run_dir = base()
    learn(run_dir, monkeypatch, lambda *_: None, sweep_taps=("conv3",))
    own = run_dir / "sweep_points" / "tap=conv5" / "classifiers"
    assert own.is_symlink()
    own.unlink()
    own.mkdir()
    learn(run_dir, monkeypatch, lambda *_: None, sweep_taps=("conv3",))
    assert own.is_symlink()
    record = json_files.read_json(run_dir / "classifiers" / "stage.json")
    record["config"]["classifier_kinds"] = ["linear"]
    json_files.write_json(run_dir / "classifiers" / "stage.json", record)
    learn(run_dir, monkeypatch, lambda *_: None, sweep_taps=("conv3",))
    assert not own.exists() and not own.is_symlink()


@pytest.mark.parametrize("number", [0, errno.EPERM, errno.ENOSYS, errno.EIO])
def test_what_is_shared_is_copied_where_there_are_no_links(number, base, monkeypatch, caplog):
    """As on exFAT and on WebDAV; by sshfs links are made, and not followed."""
    make, read = Path.symlink_to, Path.stat

    def no_links(path, target, **_):
        if number:
            raise OSError(number, os.strerror(number))
        make(path, target)

    def stat(path, **kwargs):
        if "sweep_points" in path.parts and os.path.islink(path.parent):  # noqa: PTH114 pathlib's calls stat
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        return read(path, **kwargs)

    monkeypatch.setattr(Path, "symlink_to", no_links)
    monkeypatch.setattr(Path, "stat", stat)
    run_dir, seen = base(), []
    (run_dir / "features" / "train.bin").write_bytes(b"features")
    home = run_dir / "sweep_points" / "filters=8"
    learn(run_dir, monkeypatch, lambda name, _: seen.append(name), sweep_filters=("8",))
    assert (
        f"{home / 'features'}: {os.strerror(number or errno.EPERM)}, so that it is a copy of {run_dir / 'features'}"
        in caplog.text
    )
    assert (home / "features" / "train.bin").read_bytes() == b"features"
    assert rundir.find(home, "extract_features").digest == rundir.find(run_dir, "extract_features").digest
    made = (home / "features").stat().st_ino
    learn(run_dir, monkeypatch, lambda *_: None, sweep_filters=("8",))
    assert (home / "features").stat().st_ino == made  # it serves
    record = json_files.read_json(run_dir / "features" / "stage.json")
    json_files.write_json(run_dir / "features" / "stage.json", {**record, "seconds": 1.0})
    learn(run_dir, monkeypatch, lambda *_: None, sweep_filters=("8",))
    assert json_files.read_json(home / "features" / "stage.json")["seconds"] == 1.0
    assert {path.name for path in home.iterdir()} == {"slices", "unet", "features"}
    learn(run_dir, monkeypatch, lambda *_: None, sweep_taps=("conv3",))
    own = run_dir / "sweep_points" / "tap=conv5" / "classifiers"
    assert own.is_dir() and not own.is_symlink()
    record = json_files.read_json(run_dir / "classifiers" / "stage.json")
    record["config"]["classifier_kinds"] = ["linear"]
    json_files.write_json(run_dir / "classifiers" / "stage.json", record)
    learn(run_dir, monkeypatch, lambda *_: None, sweep_taps=("conv3",))
    assert not own.exists()  # what the point learns itself now


def test_points_are_learnt_where_the_run_was_told_to(base, monkeypatch):
    seen = []

    def learnt(base, point):
        seen.append(base.config("train_generators"))
        raise KeyboardInterrupt

    monkeypatch.setattr(sweep_sharing, "learn", learnt)
    with pytest.raises(KeyboardInterrupt):
        run_sweep.run(run_sweep.Config(str(base()), device="cpu", tf32=False, deterministic=True, sweep_filters=("5",)))
    assert [(one.device, one.tf32, one.jit, one.deterministic) for one in seen] == [("cpu", False, False, True)]
