"""tools/kill_anywhere.py: a study that is killed is the unbroken one, and the comparison finds what is not."""

import importlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.core import registry

TOOLS = Path(__file__).parent.parent / "tools"
sys.path.insert(0, str(TOOLS))
comparison, small_disk, works = (
    importlib.import_module(f"killing.{name}") for name in ("comparison", "small_disk", "works")
)
PLANS = [("event", 0.0, 12), ("event", 0.0, 40), ("end", 0.0, 2)]  # as `attempts.Plan` has them


def made(folder, *, losses=(0.5, 0.25)):
    """A folder as a run leaves it."""
    (folder / "unet").mkdir(parents=True)
    np.savez(folder / "unet" / "best.npz", np.arange(6, dtype=np.float32).reshape(2, 3), np.zeros(2))
    record = {
        "config": {"seed": 1},
        "seconds": 3.5,
        "finished": "2026-11-28T13:00:00",
        "resumed": False,
        "peak_memory": 4,
        "cpu_seconds": 3.0,
        "inputs": {},
    }
    (folder / "unet" / "stage.json").write_text(json.dumps(record))
    digest = comparison.hashlib.sha256((folder / "unet" / "stage.json").read_bytes()).hexdigest()
    (folder / "study").mkdir()
    (folder / "study" / "stage.json").write_text(json.dumps({**record, "inputs": {"unet": digest}}))
    (folder / "study" / "predictions.csv").write_text("fold,p_HGG\n0,0.25\n1,0.75\n")
    (folder / ".unet.lock").write_text("process 1")
    with tf.summary.create_file_writer(str(folder / "tensorboard" / "unet")).as_default():
        for step, loss in enumerate(losses):
            tf.summary.scalar("loss", loss, step)
    return folder


@pytest.fixture
def pair(tmp_path):
    """Two folders that are the same, but for what differs by nature."""
    one, two = made(tmp_path / "one"), made(tmp_path / "two")
    record = json.loads((two / "unet" / "stage.json").read_text())
    record |= {
        "seconds": 99.0,
        "finished": "2026-11-28T14:00:00",
        "resumed": True,
        "peak_memory": 5,
        "cpu_seconds": 7.5,
    }
    (two / "unet" / "stage.json").write_text(json.dumps(record))
    digest = comparison.hashlib.sha256((two / "unet" / "stage.json").read_bytes()).hexdigest()
    (two / "study" / "stage.json").write_text(json.dumps({**record, "inputs": {"unet": digest}}))
    (two / ".unet.lock").write_text("process 2")
    return one, two


def flip(folder):
    """Changes the last bit of one weight."""
    with np.load(folder / "unet" / "best.npz") as archive:
        found = [archive[name].copy() for name in archive.files]
    found[0].view(np.uint32)[1, 2] ^= 1
    np.savez(folder / "unet" / "best.npz", *found)


def edit(folder, name, old, new):
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new))


def more_events(folder):
    with tf.summary.create_file_writer(str(folder / "tensorboard" / "unet")).as_default():
        tf.summary.scalar("loss", 0.125, 1)  # a step that was done again, with another loss


DAMAGE = {
    "unet/best.npz: arr_0.npy differ": flip,
    "unet/best.npz: missing": lambda folder: (folder / "unet" / "best.npz").unlink(),
    "unet.part/: too many": lambda folder: (folder / "unet.part").mkdir(),
    "unet/.best.npz.tmp: too many": lambda folder: (folder / "unet" / ".best.npz.tmp").write_bytes(b"half"),
    "study/predictions.csv: from byte 20": lambda folder: edit(folder, "study/predictions.csv", "0.75", "1.75"),
    "study/predictions.csv: of 25 and 18 bytes": lambda folder: edit(folder, "study/predictions.csv", "1,0.75\n", ""),
    "unet/stage.json: config differ": lambda folder: edit(folder, "unet/stage.json", '"seed": 1', '"seed": 2'),
    "study/stage.json: inputs differ": lambda folder: edit(folder, "unet/stage.json", "99.0", "98.0"),
    "tensorboard/unet: 1 events differ, such as ('loss', 1)": more_events,
    ".unet.lock: missing": lambda folder: (folder / ".unet.lock").unlink(),
}


def test_what_differs_by_nature_is_no_difference(pair):
    assert comparison.differences(*pair) == []
    with tf.summary.create_file_writer(str(pair[1] / "tensorboard" / "unet")).as_default():
        tf.summary.scalar("loss", 0.25, 1)  # a step that was done again
    assert comparison.differences(*pair) == []


@pytest.mark.parametrize("said", DAMAGE)
def test_anything_else_is(pair, said):
    DAMAGE[said](pair[1])
    found = comparison.differences(*pair)
    assert any(line.startswith(said) for line in found), found


def test_each_allowance_says_why():
    assert all(len(one.reason) > 10 for one in comparison.ALLOWANCES)
    for path in ("run/unet/best.npz", "unet/stage.json", "run/.unet.lock"):
        assert comparison.allowance_of(path)
    for path in (
        "run/cohort_report/report.json",
        "run/study/index.html",
        "study/predictions.csv",
        "a/b.png",
        "x/y.tfrecord",
    ):
        assert comparison.allowance_of(path) is None, path


def test_seconds_of_a_report_are_no_difference_and_its_other_numbers_are(tmp_path):
    page = '<table><thead><tr><th scope="col">patients</th><th scope="col">seconds</th></tr></thead>'
    page += "<tbody><tr><td>{}</td><td>{}</td></tr></tbody></table><td>3</td></tr>"
    for name, patients, seconds in (("one", 7, 3), ("same", 7, "1,234"), ("two", 8, 3)):
        (tmp_path / name / "run" / "report").mkdir(parents=True)
        (tmp_path / name / "run" / "report" / "index.html").write_text(page.format(patients, seconds))
        (tmp_path / name / "run" / "report" / "report.json").write_text(
            f'{{"n": {patients}, "seconds": {len(name)}.5}}'
        )
    assert comparison.differences(tmp_path / "one", tmp_path / "same") == []
    assert [line.split(": from")[0] for line in comparison.differences(tmp_path / "one", tmp_path / "two")] == [
        "run/report/index.html",
        "run/report/report.json",
    ]


FULL = "error: No space left on device (--run_dir=x); free some of the disk, and run the same command again"


@pytest.mark.parametrize(
    ("said", "is_fine"),
    [
        (f"[1/2] a stage\n{FULL}, which keeps what is finished\n", True),
        (f"{FULL}\nand another line\n", False),
        (f"Traceback (most recent call last):\n{FULL}\n", False),
        ("error: --run_dir=x: settings.json is damaged\n", False),
        ("", False),
    ],
)
def test_a_full_disk_is_one_line(said, is_fine):
    assert small_disk.one_line(said) == is_fine


def test_a_network_that_was_exported_differs_by_one_bit(tmp_path):
    for name, value in (("one", 1.0), ("same", 1.0), ("two", np.nextafter(np.float32(1), np.float32(2)))):
        module = tf.Module()
        module.weight = tf.Variable(value, dtype=tf.float32)
        tf.saved_model.save(module, str(tmp_path / name / "export"))
    assert comparison.differences(tmp_path / "one", tmp_path / "same") == []
    (found,) = comparison.differences(tmp_path / "one", tmp_path / "two")
    assert found.startswith("export/variables/variables.index: weight/.ATTRIBUTES/VARIABLE_VALUE differ")


def test_networks_that_compute_other_things_with_the_same_numbers_differ(tmp_path):
    def exported(name, function):
        module = tf.Module()
        module.call = tf.function(function, input_signature=[tf.TensorSpec([None], tf.float32)])
        tf.saved_model.save(module, str(tmp_path / name / "export"), signatures={"serving_default": module.call})

    exported("one", lambda x: tf.map_fn(lambda value: 2.0 * value + 3.0, x))
    tf.function(lambda x: tf.map_fn(tf.nn.relu, x) + 3.0)(tf.ones(2))  # so that functions get other numbers
    exported("same", lambda x: tf.map_fn(lambda value: 2.0 * value + 3.0, x))
    exported("two", lambda x: tf.map_fn(lambda value: 3.0 * value + 2.0, x))
    assert comparison.differences(tmp_path / "one", tmp_path / "same") == []
    (found,) = comparison.differences(tmp_path / "one", tmp_path / "two")
    assert found.startswith("export/saved_model.pb: ")


def test_each_file_is_of_a_stage():
    of = {
        "run/unet.part/history.json": "train_unet",
        "run/.unet.old/best.npz": "train_unet",
        "run/generator_acgan.part/best.npz": "train_generators",
        "run/synthetic_acgan/stage.json": "generate_synthetic",
        "run/sweep_points/added=4/classifiers.part/x": "run_sweep",
        "run/tensorboard/features/events.out": "extract_features",
        "run/.unet.lock": "",
        "mask.nii.gz": "predict",
    }
    assert {path: works.stage_of(Path(path), "predict") for path in of} == of
    written = {works.stage_of(Path(registry.folder(name, "acgan")), name) for name in registry.STAGES}
    assert written >= set(registry.STAGES) - {"write_study_report"}
    assert works.stage_of(Path("run/report.part"), "crossvalidate") == "write_study_report"


def test_a_study_that_is_killed_three_times_is_the_unbroken_one(tmp_path):
    """In a process of its own, which forks: after some events on its files, twice, and as its record is written."""
    program = f"""
import json, sys
from pathlib import Path
sys.path.insert(0, {str(TOOLS)!r})
from killing import attempts, works
import rembrandt_featgen.stages.evaluate_features
home, work, ended = Path({str(tmp_path)!r}), works.WORKS["tiny"], []
run, inputs = home / "runs", home / "inputs"
inputs.mkdir()
work.make_inputs(inputs)
for plans in ([], {PLANS}):
    if run.exists():
        run.rename(home / "unbroken")
    run.mkdir()
    for plan in [*plans, None]:
        def plan_of(stage):
            return attempts.Plan(*plan) if plan and stage == "evaluate_features" else None
        argv = work.commands[0].argv(run, inputs)
        ended.append(attempts.Attempt(work.commands[0], argv, run=run, log=home / "log").run(plan_of))
print(json.dumps([[one.status, one.killed, one.stage] for one in ended]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    killed = [-signal.SIGKILL, True, "evaluate_features"]
    ended = [one if one[1] else one[:2] for one in json.loads(done.stdout.splitlines()[-1])]
    last = killed if ended[3] == killed else [0, False]  # where the tool is kept waiting, it has ended by itself
    assert ended == [[0, False], killed, killed, last, [0, False]], (tmp_path / "log").read_text()[-3000:]
    assert comparison.differences(tmp_path / "unbroken", tmp_path / "runs") == []
