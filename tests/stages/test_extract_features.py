import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.core import json_files, rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data import pipelines, store_parts, store_writer
from rembrandt_featgen.data.store import Store
from rembrandt_featgen.data.store_writer import Writer
from rembrandt_featgen.features import cross_fitting, streams
from rembrandt_featgen.features.reading import open_features
from rembrandt_featgen.nn import distribution, sharding, weights
from rembrandt_featgen.segmentation import unet_export
from rembrandt_featgen.segmentation.unet import build_unet, tap_model
from rembrandt_featgen.stages import extract_features, train_generators

SIZE, WIDTH = 32, 2
COUNTS = {"train": 7, "validation": 2, "test": 3}


def finish(folder, config, **figures):
    classes = {"names": ["LGG", "HGG"], "positive": "HGG"}
    record = {"config": config, "figures": figures, "inputs": {}, "classes": classes}
    json_files.write_json(folder / "stage.json", record)


@pytest.fixture(scope="module")
def unet():
    tf.keras.utils.set_random_seed(1)
    return build_unet(1, WIDTH)


@pytest.fixture
def run_dir(unet, tmp_path):
    """A run that has slices and a U-Net."""
    (tmp_path / "slices").mkdir()
    random = np.random.default_rng(0)
    for split, count in COUNTS.items():
        with Writer(tmp_path / "slices", split, {"image": ((SIZE, SIZE, 1), "float32")}, per_shard=2) as writer:
            for i in range(count):
                writer.write(
                    {"image": random.normal(size=(SIZE, SIZE, 1))}, f"{split} {i // 2}", slice_index=i, label=i % 2
                )
    finish(tmp_path / "slices", {}, channels=["flair"], image_size=SIZE)
    (tmp_path / "unet").mkdir()
    weights.save(unet.get_weights(), tmp_path / "unet" / "best.npz")
    finish(tmp_path / "unet", {"unet_width": WIDTH})
    return tmp_path


def features_of(unet, run_dir, *, split, tap):
    images = [record["image"] for record in Store(run_dir / "slices", split).dataset()]
    return tap_model(unet, tap)(tf.stack(images)).numpy()


def everything(folder, split):
    """All records of a split, one array for each key."""
    batches = list(streams.features(folder, split, 2).as_numpy_iterator())
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


CONV2, CONV5 = (16, 16, 2 * WIDTH), (2, 2, 16 * WIDTH)


@pytest.mark.parametrize(
    ("features_from", "tap", "shape"),
    [("store", "conv5", CONV5), ("store", "conv2", CONV2), ("slices", "conv2", CONV2)],
)
def test_features_of_each_slice(features_from, tap, shape, unet, run_dir):
    extract_features.run(extract_features.Config(str(run_dir), tap=tap, extract_batch=3, features_from=features_from))
    figures = json_files.read_json(run_dir / "features" / "stage.json")["figures"]
    assert figures == {"tap": tap, "shape": list(shape), "features": COUNTS}
    for split, count in [*COUNTS.items()][: 1 if features_from == "slices" else 3]:
        found, features = everything(run_dir / "features", split), open_features(run_dir / "features", split)
        assert features.shape == shape
        assert features.patients == [f"{split} {i // 2}" for i in range(count)]
        assert features.labels.tolist() == [i % 2 for i in range(count)]
        np.testing.assert_allclose(
            found["feature"], features_of(unet, run_dir, split=split, tap=tap), rtol=1e-4, atol=1e-5
        )
        assert found["patient"].astype(str).tolist() == features.patients
        assert found["slice"].tolist() == list(range(count))
        assert found["label"].tolist() == features.labels.tolist()


def test_slices_and_store_train_alike(run_dir):
    """The same batches in the same order, balanced and mixed with features that are stored."""
    found = {}
    for features_from in ("store", "slices"):
        extract_features.run(extract_features.Config(str(run_dir), features_from=features_from))
        folder = run_dir / "features"
        sources = [(folder, "train", 7), (run_dir / "stored", "train", 2)]
        if not sources[1][0].exists():
            (run_dir / "stored").mkdir()
            with Writer(run_dir / "stored", "train", {"feature": ((2, 2, 16 * WIDTH), "float32")}) as writer:
                for i in range(2):
                    writer.write({"feature": np.full((2, 2, 16 * WIDTH), i)}, "synthetic", slice_index=i, label=i)
        makers = streams.balanced_features(folder, 4), streams.labelled_features(sources, 4)
        found[features_from] = [pair for make in makers for pair in pipelines.endless(make, 5).take(4)]
        folder.rename(run_dir / f"from_{features_from}")
    assert [len(label) for _, label in found["store"]] == [4, 4, 4, 4, 4, 4, 1, 4]
    for (feature, label), (other, same) in zip(found["store"], found["slices"]):
        np.testing.assert_allclose(feature, other, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(label, same)
    names = {path.name for path in (run_dir / "from_slices").iterdir()}
    assert names == {"encoder.json", "flags.txt", "stage.json"}  # nothing is stored


def test_a_generator_learns_from_slices(run_dir):
    extract_features.run(extract_features.Config(str(run_dir), features_from="slices"))
    train_generators.run(train_generators.Config(str(run_dir), ndf=2, ngf=2, gan_latent=3, gan_epochs=1, gan_batch=4))
    history = json_files.read_json(run_dir / "generator_acgan" / "history.json")
    assert {"d_loss", "val_real_class_accuracy"} <= set(history)


@pytest.mark.parametrize(("dtype", "codec", "digits"), [("float16", "zstd", 1e-3), ("bfloat16", "lz4", 1e-2)])
def test_type_and_codec_on_disk(dtype, codec, digits, unet, run_dir):
    extract_features.run(extract_features.Config(str(run_dir), tap="conv2", store_dtype=dtype, store_codec=codec))
    header = json.loads((run_dir / "features" / "train.jsonl").read_text().splitlines()[0])
    assert header == {"tensors": {"feature": [[16, 16, 2 * WIDTH], dtype]}, "codec": codec}
    found = everything(run_dir / "features", "train")["feature"]
    np.testing.assert_allclose(found, features_of(unet, run_dir, split="train", tap="conv2"), rtol=digits, atol=1e-5)


def test_killed_extraction_resumes_after_the_last_whole_shard(unet, run_dir, monkeypatch, caplog):
    monkeypatch.setattr("rembrandt_featgen.data.store_writer._SHARD_BYTES", 2 * 2 * 2 * 16 * WIDTH * 4)  # two features
    config = extract_features.Config(str(run_dir), extract_batch=1)

    write = Writer.write

    def write_five(self, *arguments, **keywords):
        if self._split == "train" and len(self) == 5:
            raise Killed
        write(self, *arguments, **keywords)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Writer, "write", write_five)
        extract_features.run(config)
    assert not (run_dir / "features").exists()
    kept = sorted((run_dir / "features.part").glob("*.tfrecord"))
    times = {path.name: path.stat().st_mtime_ns for path in kept}
    assert list(times) == ["train-00000.tfrecord", "train-00001.tfrecord"]
    (run_dir / "features.part" / "worker1of2").mkdir()  # as of two workers, before
    with caplog.at_level(logging.INFO, logger="absl"):
        extract_features.run(config)
    assert "conv5 of train: resumed after 4 of 7 features" in caplog.text
    assert {name: (run_dir / "features" / name).stat().st_mtime_ns for name in times} == times
    assert not list((run_dir / "features").glob("worker*"))
    found = everything(run_dir / "features", "train")
    assert found["slice"].tolist() == list(range(7))
    np.testing.assert_allclose(
        found["feature"], features_of(unet, run_dir, split="train", tap="conv5"), rtol=1e-4, atol=1e-5
    )


def test_store_of_another_unet_is_refused(run_dir):
    extract_features.run(extract_features.Config(str(run_dir)))
    rundir.find(run_dir, "extract_features")
    finish(run_dir / "unet", {"unet_width": WIDTH}, trained="again")
    with pytest.raises(InputError, match=r"features/ was made from another unet/.*python -m .*stages\.extract"):
        rundir.find(run_dir, "extract_features")


def test_damage_among_the_slices_is_one_line(run_dir):
    path = run_dir / "slices" / "train-00001.tfrecord"
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        extract_features.run(extract_features.Config(str(run_dir)))
    assert str(caught.value) == f"{path} is damaged; delete {run_dir / 'slices'} so that its stage is done again"
    assert not list(run_dir.glob("features*"))


def test_parts_of_workers_are_joined_to_the_bytes_of_one(run_dir, monkeypatch):
    """Parts begin within batches of one worker, and one of two is killed after its first shard."""
    monkeypatch.setattr(store_writer, "_SHARD_BYTES", 2 * 4 * 2 * 2 * 32)  # shards of two features
    config = extract_features.Config(str(run_dir), extract_batch=3, precision="bfloat16")
    extract_features.run(config)
    whole, shape = run_dir / "features", (2, 2, 32)
    network = unet_export.restore_unet(
        run_dir / "unet",
        config={"unet_width": WIDTH},
        slices=json_files.read_json(run_dir / "slices" / "stage.json"),
        precision="bfloat16",
    )
    encoders = cross_fitting.Encoders(tap_model(network, "conv5"), [], {})
    joined = run_dir / "joined"
    joined.mkdir()
    of_tap, calls = extract_features.of_tap(encoders), []

    def killed_at_last(batch):
        calls.append(len(batch["slice"]))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return of_tap(batch)

    def extract(part, features=of_tap):
        for split in COUNTS:
            extract_features.extract_split(
                config, features, shape=shape, slices=run_dir / "slices", split=split, folder=joined, part=(part, 2)
            )

    with pytest.raises(KeyboardInterrupt):
        extract(0, killed_at_last)
    extract(0)
    extract(1)
    store_parts.join(joined, list(COUNTS), 2)
    names = [path.name for path in joined.iterdir()]
    assert len(names) == 3 + 4 + 1 + 2  # indices and shards
    for name in names:
        assert (joined / name).read_bytes() == (whole / name).read_bytes(), name


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the package handles it."""


def killed_at(patch, number):
    """Has the process end before the join moves, or deletes, for that time."""
    done = []

    def counted(function):
        def or_killed(*arguments):
            if len(done) == number:
                raise Killed
            done.append(1)
            return function(*arguments)

        return or_killed

    def join(*arguments):
        patch.setattr(Path, "replace", counted(Path.replace))
        patch.setattr(store_parts.shutil, "rmtree", counted(shutil.rmtree))
        store_join(*arguments)

    store_join = store_parts.join
    patch.setattr(store_parts, "join", join)


# of two workers: 4 shards and an index of train, 1 and 1, 2 and 1; then two folders are deleted
@pytest.mark.parametrize(("kill", "workers_then"), [(0, 2), (3, 2), (4, 1), (6, 2), (11, 2), (12, 1)])
def test_a_join_that_was_killed_costs_no_feature(kill, workers_then, run_dir, monkeypatch):
    """The stage of the chief of two workers is killed, and started again, by one worker perhaps."""
    monkeypatch.setattr(store_writer, "_SHARD_BYTES", 2 * 4 * 2 * 2 * 32)  # shards of two features
    config = extract_features.Config(str(run_dir), extract_batch=3)
    extract_features.run(config)
    whole = (run_dir / "features").rename(run_dir / "whole")
    extract_split = extract_features.extract_split

    def of_both(*arguments, part, **keywords):
        for number in range(part[1]):
            extract_split(*arguments, part=(number, part[1]), **keywords)

    def workers(total):
        monkeypatch.setattr(distribution, "workers", lambda where: (0, total))

    monkeypatch.setattr(distribution, "any_worker", lambda where, value: value)
    monkeypatch.setattr(sharding, "gathered", lambda where, value: [value])
    workers(2)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(extract_features, "extract_split", of_both)
        killed_at(patch, kill)
        if kill == 12:  # when all is joined
            patch.setattr(extract_features.tensorboard, "complete", lambda *_, **__: store_parts.shutil.rmtree(""))
        extract_features.run(config)

    def never(*_, **__):
        raise AssertionError("features are computed again")

    workers(workers_then)
    monkeypatch.setattr(extract_features, "extract_split", never)
    extract_features.run(config)
    names = [path.name for path in whole.iterdir()]
    assert sorted(names) == sorted(path.name for path in (run_dir / "features").iterdir())
    for name in set(names) - {"stage.json", "flags.txt"}:
        assert (run_dir / "features" / name).read_bytes() == (whole / name).read_bytes(), name
