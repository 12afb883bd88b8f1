"""--unet_weights through the finetune binary: where training starts, and what is refused."""

import functools
import logging
import os
import shutil

import numpy as np
import pytest

from rembrandt_featgen.cohort import phantom
from rembrandt_featgen.core import json_files
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.segmentation import pretrained, tensorlayer_files, unet, unet_export
from rembrandt_featgen.stages import make_phantom, prepare_slices, train_unet

STILL = {"unet_width": 2, "unet_epochs": 1, "unet_batch": 16, "unet_learning_rate": 0.0, "augment": False}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A run folder with slices."""
    folder = tmp_path_factory.mktemp("prepared")
    cohort = phantom.write_phantom(folder / "cohort", {"LGG": 4, "HGG": 4}, size=32, slices=3)
    prepare_slices.run(prepare_slices.Config(str(folder / "run"), str(cohort), image_size=32))
    return folder / "run"


@pytest.fixture
def run(prepared, tmp_path):
    return shutil.copytree(prepared, tmp_path / "run")


@functools.lru_cache
def shapes(channels, width):
    return [variable.shape for variable in pretrained.variables(unet.build_unet(channels, width))]


def arrays_of(channels, width=2, seed=0):
    generator = np.random.default_rng(seed)
    return [generator.normal(scale=0.3, size=shape).astype(np.float32) for shape in shapes(channels, width)]


def weights(path):
    return tensorlayer_files.read(path).arrays


def fails(run, file, monkeypatch, capsys, *arguments):
    """Runs the binary, which must end with one line and status 1, and leave no unet folder."""
    arguments = [f"--run_dir={run}", f"--unet_weights={file}", "--unet_width=2", "--unet_epochs=1", *arguments]
    monkeypatch.setattr("sys.argv", ["train_unet", *arguments])
    with pytest.raises(SystemExit) as stop:
        train_unet.main()
    captured = capsys.readouterr()
    (line,) = [line for line in captured.err.splitlines() if line.startswith("error: ")]
    assert stop.value.code == 1
    assert "Traceback" not in captured.err
    assert not list(run.glob("unet*"))
    assert f"--unet_weights={file}" in line
    return line


def test_training_starts_from_the_checkpoint(run, tmp_path, caplog):
    """With learning rate 0 the best epoch's weights are those of the start, here BraTS' four channels cut to FLAIR."""
    file, arrays = tmp_path / "w.npz", arrays_of(4)
    config = train_unet.Config(str(run), unet_weights=str(file), **STILL)
    tensorlayer_files.write(file, arrays)
    with caplog.at_level(logging.INFO, logger="absl"):
        train_unet.run(config)
    assert f"starts from the weights of {file}, the first layer's channels flair of flair,t1,t1ce,t2" in caplog.text
    assert set(json_files.read_json(run / "unet" / "stage.json")["inputs"]) == {"slices", "unet_weights"}
    found = weights(run / "unet" / "best.npz")
    np.testing.assert_array_equal(found[0], 2 * arrays[0][:, :, :1])
    for before, after in zip(arrays[1:], found[1:]):
        np.testing.assert_array_equal(after, before)
    with caplog.at_level(logging.INFO, logger="absl"):
        train_unet.run(config)
    assert "unet: done before, skipped" in caplog.text
    # other content under the same name, now in the format of this program's best.npz
    others = arrays_of(1, seed=1)
    np.savez(file, *others)
    train_unet.run(config)
    for before, after in zip(others, weights(run / "unet" / "best.npz")):
        np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize("initializer", unet.INITIALIZERS)
def test_biases_of_the_reference_implementation_start_at_0(run, initializer, caplog):
    """The head's is that of the tumour's share with the other initial weights."""
    with caplog.at_level(logging.WARNING, logger="absl"):
        train_unet.run(train_unet.Config(str(run), unet_initializer=initializer, **STILL))
    assert "starts from random weights at --unet_learning_rate=0, which is for fine-tuning; give" in caplog.text
    found, share = weights(run / "unet" / "best.npz"), json_files.read_json(run / "slices" / "stage.json")["figures"]
    start = np.log(share["tumour_prior"] / (1 - share["tumour_prior"])) if initializer == "he" else 0.0
    assert found[-1].tolist() == pytest.approx([start], rel=1e-5)
    assert not any(bias.any() for bias in found[1:-1:2])


def test_pre_training_on_four_modalities_is_where_fine_tuning_on_flair_starts(run, tmp_path, caplog):
    """The built-in phantom in BraTS' four, from NIfTI files on, as flags/pretrain_brats.flags has them."""
    four, small = ("flair", "t1", "t1ce", "t2"), {"phantom_counts": ("LGG:3", "HGG:3"), "phantom_size": 32}
    home, first = str(tmp_path / "brats"), {**STILL, "unet_learning_rate": 1e-4}
    make_phantom.run(make_phantom.Config(home, modalities=four, phantom_slices=3, **small))
    prepare_slices.run(prepare_slices.Config(home, modalities=four, image_size=32))
    train_unet.run(train_unet.Config(home, **first))
    (kernel, *others) = weights(tmp_path / "brats" / "unet" / "best.npz")
    assert kernel.shape == (3, 3, 4, 2)
    assert "random weights" not in caplog.text
    train_unet.run(train_unet.Config(str(run), unet_weights=f"{home}/unet/best.npz", **STILL))
    found = weights(run / "unet" / "best.npz")
    np.testing.assert_array_equal(found[0], 2 * kernel[:, :, :1])
    for before, after in zip(others, found[1:]):
        np.testing.assert_array_equal(after, before)


class Trap:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_malicious_file_runs_nothing(run, tmp_path, monkeypatch, capsys):
    trap = np.empty(1, dtype=object)
    trap[0] = Trap(f"touch {tmp_path / 'loot'}")
    np.savez(tmp_path / "trap.npz", params=trap)
    line = fails(run, tmp_path / "trap.npz", monkeypatch, capsys)
    assert "system" in line
    assert not (tmp_path / "loot").exists()


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda path: None, ["No such file"]),
        (lambda path: path.mkdir(), ["directory"]),
        (lambda path: path.write_bytes(b"hello"), ["zip"]),
        (lambda path: np.savez(path, other=np.ones(3)), ["other.npy"]),
        (lambda path: tensorlayer_files.write(path, arrays_of(1, 4)), ["conv1_1/kernel", "--unet_width=4"]),
    ],
    ids=["missing", "folder", "not zip", "other key", "width"],
)
def test_bad_file(write, words, run, tmp_path, monkeypatch, capsys):
    write(tmp_path / "bad.npz")
    line = fails(run, tmp_path / "bad.npz", monkeypatch, capsys)
    for word in words:
        assert word in line


def test_named_channels_lack_one(run, tmp_path, monkeypatch, capsys):
    tensorlayer_files.write(tmp_path / "w.npz", arrays_of(2))
    line = fails(run, tmp_path / "w.npz", monkeypatch, capsys, "--unet_weights_modalities=t1,t2")
    assert "trained on t1,t2, not on flair" in line


def test_norm_of_a_run_is_kept_with_it(run, tmp_path, monkeypatch, capsys):
    """It is read from the record; its weights start a run of the same norm, and no other."""
    still = {**STILL, "unet_norm": "instance"}
    train_unet.run(train_unet.Config(str(run), **still))
    folder = shutil.copytree(run / "unet", tmp_path / "first")
    config, slices = (json_files.read_json(run / name / "stage.json") for name in ("unet", "slices"))
    network = unet_export.restore_unet(folder, config=config["config"], slices=slices, precision="float32")
    before = weights(folder / "best.npz")
    assert len(before) == 82
    for found, wanted in zip(network.get_weights(), before):
        np.testing.assert_array_equal(found, wanted)
    again = train_unet.Config(str(run), unet_weights=f"{folder}/best.npz", seed=5, **still)
    started = train_unet._start(again, slices["figures"], train_unet.read_weights(again), seed=again.seed)
    for found, wanted in zip(started.get_weights(), before):
        np.testing.assert_array_equal(found, wanted)
    shutil.rmtree(run / "unet")
    line = fails(run, folder / "best.npz", monkeypatch, capsys)
    assert "82 arrays, which is a U-Net of --unet_norm=instance, but this one has --unet_norm=none" in line


def test_channels_of_no_file(run):
    with pytest.raises(InputError, match="--unet_weights_modalities=t1 .*--unet_weights, which is not given"):
        train_unet.run(train_unet.Config(str(run), unet_weights_modalities=("t1",), **STILL))
