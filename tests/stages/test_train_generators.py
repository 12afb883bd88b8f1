"""Several generators in one run: each a stage of its own, one after the other."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core import json_files, registry, rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data.store import Store
from rembrandt_featgen.data.store_writer import Writer
from rembrandt_featgen.generation import gan_export
from rembrandt_featgen.nn import checkpointing
from rembrandt_featgen.stages import crossvalidate, evaluate_features, generate_synthetic, train_generators

SHAPE = (4, 4, 2)
CLASSES = Classes.of(("LGG", "HGG"))


def settings(run_dir, *gans, **changes):
    """Those of a training of three epochs of two steps."""
    tiny = {"ndf": 4, "ngf": 4, "gan_latent": 3, "gan_epochs": 3, "gan_batch": 8, **changes}
    return train_generators.Config(run_dir=str(run_dir), generators=gans, **tiny)


def write_features(run_dir, training=(0, 1) * 8):
    """A finished features/ of training slices of these labels, and 4 for validation; each fires its label's channel."""
    rng, folder = np.random.default_rng(0), run_dir / "features"
    folder.mkdir()
    for split, labels in (("train", training), ("validation", (0, 1, 0, 1))):
        with Writer(folder, split, {"feature": (SHAPE, "float32")}) as writer:
            for position, label in enumerate(labels):
                feature = np.zeros(SHAPE, np.float32)
                feature[..., label] = rng.uniform(0.5, 1.5)
                writer.write({"feature": feature}, f"{split}_{position // 2}", slice_index=position, label=label)
    record = {"config": {"store_dtype": "float16", "store_codec": "none"}, "figures": {"shape": SHAPE}, "inputs": {}}
    record["classes"] = CLASSES.record
    json_files.write_json(folder / rundir.RECORD, record)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run whose second kind was killed in its second epoch, and then resumed."""
    run_dir = tmp_path_factory.mktemp("run")
    write_features(run_dir)
    save = checkpointing.Checkpointing.on_epoch_end

    def killed(self, epoch, logs=None):
        if self.model.has_auxiliary_classifier or epoch == 0:
            save(self, epoch, logs)
        else:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpointing.Checkpointing, "on_epoch_end", killed)
        patch.setattr(checkpointing, "SAVE_SECONDS", 0.0)
        with pytest.raises(KeyboardInterrupt):
            train_generators.run(settings(run_dir, "acgan", "cgan"))
    assert (run_dir / "generator_acgan" / rundir.RECORD).exists()
    assert len(json_files.read_json(run_dir / "generator_cgan.part" / "history.json")["d_loss"]) == 1
    before = (run_dir / "generator_acgan" / rundir.RECORD).stat().st_mtime_ns
    train_generators.run(settings(run_dir, "acgan", "cgan"))
    assert (run_dir / "generator_acgan" / rundir.RECORD).stat().st_mtime_ns == before
    generate_synthetic.run(
        generate_synthetic.Config(
            run_dir=str(run_dir),
            generators=("acgan", "cgan"),
            synthetic_per_class=5,
            generate_tries=400,
            generate_batch=8,
        )
    )
    return run_dir


@pytest.mark.parametrize(("kind", "resumed"), [("acgan", False), ("cgan", True)])
def test_each_kind_is_a_stage_that_resumes_alone(run, kind, resumed):
    folder = run / registry.folder("train_generators", kind)
    record = json_files.read_json(folder / rundir.RECORD)
    assert (record["kind"], record["config"]["generators"], record["resumed"]) == (kind, [kind], resumed)
    history = json_files.read_json(folder / "history.json")
    assert {len(values) for values in history.values()} == {3}
    assert ("fake_class_accuracy" in history, "val_real_source" in history) == (kind == "acgan", True)
    gan = gan_export.restore_gan(folder)
    assert gan.has_auxiliary_classifier == (kind == "acgan")


def test_tensorboard_has_what_is_generated_and_how_much_is_accepted(run):
    for kind in ("acgan", "cgan"):
        events = EventAccumulator(str(run / "tensorboard" / f"generator_{kind}")).Reload()
        images = {tag: events.Tensors(tag) for tag in events.Tags()["tensors"] if tag.startswith("generated")}
        assert {tag: {event.step for event in found} for tag, found in images.items()} == {
            "generated_LGG": {0, 1, 2},
            "generated_HGG": {0, 1, 2},
        }
        png = images["generated_HGG"][0].tensor_proto.string_val
        assert png[:2] == [b"8", b"4"]  # two maps of 4 x 4 side by side
    events = EventAccumulator(str(run / "tensorboard" / "synthetic_acgan")).Reload()
    (accuracy,) = events.Tensors("class_accuracy")
    figures = json_files.read_json(run / "synthetic_acgan" / rundir.RECORD)["figures"]
    assert tensor_util.make_ndarray(accuracy.tensor_proto) == pytest.approx(figures["class_accuracy"])


def test_features_of_an_acgan_are_judged_and_those_of_a_cgan_are_all_kept(run):
    judged, plain = (json_files.read_json(run / f"synthetic_{kind}" / rundir.RECORD) for kind in ("acgan", "cgan"))
    assert judged["figures"]["class_accuracy"] > 0
    assert set(judged["figures"]["acceptance"]) == {"LGG", "HGG"}
    assert plain["inputs"].keys() == {"generator_cgan"}
    assert (plain["figures"]["class_accuracy"], plain["figures"]["acceptance"]) == (None, None)
    assert plain["figures"]["kept"] == {"LGG": 5, "HGG": 5}
    store = Store(run / "synthetic_cgan", "synthetic")
    assert store.labels.tolist() == [0, 1] * 5
    folder = run / "generator_cgan"
    gan = gan_export.restore_gan(folder)
    wanted = gan.generate(gan.noise(8, [1, 1]), np.ones(8, np.int32))  # of seed 0, the first batch of HGG
    found = [record["feature"].numpy() for record in store.dataset()][1::2]
    np.testing.assert_allclose(found, wanted[:5], rtol=2e-3, atol=1e-4)  # float16


@pytest.mark.parametrize("kind", ["acgan", "cgan"])
def test_one_try_generates_what_is_wanted_and_no_more(run, tmp_path, kind):
    """The paper's way: so many are generated, and those that are accepted are kept."""
    for name in ("features", f"generator_{kind}"):
        (tmp_path / name).symlink_to(run / name)
    generate_synthetic.run(
        generate_synthetic.Config(
            str(tmp_path), generators=(kind,), synthetic_per_class=5, generate_tries=1, generate_batch=3
        )
    )
    figures = json_files.read_json(tmp_path / registry.folder("generate_synthetic", kind) / rundir.RECORD)["figures"]
    assert figures["generated"] == 10
    assert figures["synthetic"] == (10 if kind == "cgan" else round(10 * figures["class_accuracy"]))


@pytest.mark.parametrize(("balanced", "sizes"), [(True, [6, 6, 6]), (False, [6, 6, 2])])
def test_batches_are_balanced_or_hold_each_feature_once(tmp_path, monkeypatch, balanced, sizes):
    """Ten HGG and four LGG features in batches of six."""
    write_features(tmp_path, [1] * 10 + [0] * 4)
    epochs = []
    monkeypatch.setattr(
        train_generators.resumable_fit, "fit", lambda gan, make_epoch, **_: epochs.append(make_epoch) or {"history": {}}
    )
    train_generators.run(settings(tmp_path, "acgan", gan_batch=6, gan_balanced=balanced))
    batches = list(epochs[0](tf.constant([0, 0], tf.int64)))
    assert [len(label) for _, label in batches] == sizes
    labels = np.concatenate([label for _, label in batches])
    assert np.bincount(labels).tolist() == ([9, 9] if balanced else [4, 10])
    features = {feature.numpy().tobytes() for batch, _ in batches for feature in batch}
    assert len(features) == (13 if balanced else 14)


def test_networks_of_the_reference_implementation_are_trained_restored_and_drawn_from(tmp_path):
    write_features(tmp_path)
    train_generators.run(settings(tmp_path, "acgan", gan_networks="reference", gan_epochs=1))
    gan = gan_export.restore_gan(tmp_path / "generator_acgan")
    assert not [layer for layer in gan.discriminator.layers if "dropout" in layer.name or "spectral" in layer.name]
    # each channel is 0 at its lowest: the ends of tanh are 0 and its maximum
    found = np.stack([record["feature"] for record in Store(tmp_path / "features", "train").dataset()])
    for code in (-1.0, 1.0):
        gan.ema_generator = lambda *_, code=code, **__: np.full((1, *SHAPE), code, np.float32)
        wanted = found.max((0, 1, 2)) if code == 1.0 else np.zeros(2)
        np.testing.assert_allclose(gan.generate(None, None)[0, 0, 0], wanted, atol=1e-6)


def test_other_settings_are_refused(run):
    with pytest.raises(InputError, match="--gan_loss=correct .now reference."):
        train_generators.run(settings(run, "cgan", gan_loss="reference"))


@pytest.mark.parametrize("generators", [(), ("acgan", "wgan")])
def test_unknown_kinds_are_refused(run, generators):
    with pytest.raises(InputError, match="take some of acgan, infogan, cgan"):
        train_generators.run(settings(run, *generators))


def test_arm_without_its_generator_is_refused(run):
    """At once, in a study and in one run."""
    names = ("none", "acgan", "infogan", "cgan")
    with pytest.raises(InputError, match="there are no features by infogan; add it to --generators"):
        evaluate_features.run(evaluate_features.Config(run_dir=str(run), arms=names, classifiers=("cnn",)))
    study = crossvalidate.Config(run_dir=str(run / "study"), arms=names, generators=("cgan", "acgan"))
    with pytest.raises(InputError, match="--arms: infogan has nothing to learn from; add infogan to --generators"):
        crossvalidate.run(study)
    assert not (run / "study").exists()


def test_a_study_asks_for_no_generator_that_is_not_trained_by_default():
    default = {field.name: field.default for field in dataclasses.fields(crossvalidate.Config)}
    gans, names = crossvalidate._check(crossvalidate.Config(run_dir="somewhere"))
    assert gans == default["generators"] == ("acgan",)
    assert names == registry.FOLD
    of_vectors = crossvalidate.Config(run_dir="somewhere", classifiers=("ridge",))
    assert crossvalidate._check(of_vectors) == (
        (),
        ("prepare_slices", "train_unet", "extract_vectors", "evaluate_features"),
    )
