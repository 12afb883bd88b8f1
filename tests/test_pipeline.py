"""One whole tiny run of tools/reproduce on a phantom cohort, and what must hold of it."""

import base64
import csv
import html
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins import projector

from rembrandt_featgen import stages
from rembrandt_featgen.classification import classifier_export
from rembrandt_featgen.cohort import layouts, pseudonyms, volumes
from rembrandt_featgen.core import cli, json_files, registry
from rembrandt_featgen.data import slicing
from rembrandt_featgen.data.store import Store
from rembrandt_featgen.generation import gan_export
from rembrandt_featgen.segmentation import unet_export
from rembrandt_featgen.segmentation.unet import tap_model
from rembrandt_featgen.stages import pipeline, predict, train_unet
from tests import markers

ROOT = Path(__file__).parent.parent
TINY = ROOT / "flags" / "reproduce_tiny.flags"
FOLDERS = (
    "phantom",
    "cohort_report",
    "slices",
    "unet",
    "features",
    "generator_acgan",
    "synthetic_acgan",
    "classifiers",
    "vectors",
    "study",
    "export",
    "sweep",
    "figures",
    "report",
)
FOLDERS += ("generator_cgan", "synthetic_cgan")  # of a second generator, which the stages after it leave alone


def run_again(run_dir, *arguments):
    """Runs the pipeline in this process."""
    pipeline.run(cli.parse(pipeline.Config, [*arguments, f"--run_dir={run_dir}"]))


# Stages that the points of its sweeps do not share with it; one that fails has none, nor has the run's own value.
OWN = {
    "start=pre-trained": set(),
    "start=scratch": {"unet"},
    "implementation=correct": set(),
    "implementation=augmentation": {"unet", "features", "generator_acgan", "synthetic_acgan", "classifiers"},
    "implementation=gan_loss": {"generator_acgan", "synthetic_acgan", "classifiers"},
    "tap=conv5": set(),
    "tap=uconv4": {"features", "generator_acgan", "synthetic_acgan", "classifiers"},
    "gan=acgan": set(),
    "gan=cgan": {"classifiers"},  # the run has trained it, by --generators
    "filters=4": {"generator_acgan", "synthetic_acgan", "classifiers"},
    "filters=8": set(),
    "added=0": set(),
    "added=4": {"classifiers"},
    "added=100": set(),
    "added=all": set(),
    "balancing=all": {"classifiers"},
}


def pseudonymous(run_dir):
    """Flags of a run whose patients have pseudonyms."""
    return ["--pseudonymise", f"--pseudonym_key={run_dir.parent / 'key'}"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """(run folder, what tools/reproduce printed)."""
    run_dir = tmp_path_factory.mktemp("pipeline") / "run"
    command = [ROOT / "tools" / "reproduce", f"--flagfile={TINY}", f"--run_dir={run_dir}", *pseudonymous(run_dir)]
    environment = {**os.environ, "REPRODUCE_PYTHON": sys.executable}
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return run_dir, done


def figures(run_dir, stage):
    return json.loads((run_dir / stage / "stage.json").read_text())["figures"]


def test_says_what_runs_and_ends_with_report_and_verdict(run):
    run_dir, done = run
    for number, name in enumerate(registry.RUN, 1):
        assert f"[{number}/{len(registry.RUN)}] {name}: " in done.stderr
    assert f"tensorboard --logdir {run_dir / 'tensorboard'}" in done.stderr
    pretraining, report, verdict = done.stdout.strip().splitlines()
    assert pretraining == f"ended with train_unet, as --last_stage says: {run_dir / 'pretraining'}"
    assert report == f"report: {run_dir / 'report' / 'index.html'}"
    assert len(verdict) > len("verdict: ")


def test_each_stage_leaves_a_whole_folder(run):
    run_dir, _ = run
    assert {path.name for path in run_dir.iterdir() if path.is_dir()} == {
        *FOLDERS,
        "sweep_points",
        "pretraining",
        "tensorboard",
    }
    for name in FOLDERS:
        record = json.loads((run_dir / name / "stage.json").read_text())
        assert record["seconds"] >= 0
        assert record["versions"]["tensorflow"] == tf.__version__
        assert not list((run_dir / name).rglob("checkpoints"))
    for name in ("unet", "generator_acgan", "generator_cgan", "classifiers"):
        assert list((run_dir / "tensorboard" / name).rglob("events.out.tfevents.*"))


def test_report_json_has_the_designs_keys(run):
    report = json.loads((run[0] / "report" / "report.json").read_text())
    assert {"cohort", "segmentation", "generator", "classification", "verdict"} <= set(report)
    assert report["cohort"]["patients"] == {"HGG": 7, "LGG": 6}
    assert sum(report["cohort"]["slices"].values()) == 13 * 4
    for split in ("train", "validation", "test"):
        assert {"soft_dice_loss", "hard_dice", "iou"} <= set(report["segmentation"][split])
    synthetic = report["generator"]["synthetic"]
    assert synthetic == len(Store(run[0] / "synthetic_acgan", "synthetic")) > 0
    units = {(row["arm"], row["classifier"], row["unit"]) for row in report["classification"]}
    assert len(units) == 8
    for row in report["classification"]:
        assert set(row["accuracy"]) == {"HGG", "LGG", "total"}
        assert {"balanced_accuracy", "mcc", "auroc", "ci95", "synthetic", "n"} <= set(row)
        assert row["synthetic"] == (synthetic if row["arm"] == "augmented" else 0)


def test_report_page_needs_no_network(run):
    sources = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag, attributes):
            sources.extend(value for name, value in attributes if name == "src")

    page = (run[0] / "report" / "index.html").read_text()
    Parser().feed(page)
    assert len(sources) >= 5
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    report = json.loads((run[0] / "report" / "report.json").read_text())
    word, _, sentence = report["verdict"].partition(": ")
    assert word == report["verdict_word"].capitalize() and sentence[1:20] in page


DRAWN = [f"figure_{number:02d}" for number in range(3, 12)]
DRAWN += ["figure_grad_cam", "figure_activation_maximisation", "figure_pretraining"]
DRAWN += ["figure_sweep_added", "figure_sweep_tap", "figure_sweep_gan", "figure_sweep_implementation"]
DRAWN += ["figure_11_run"]  # the paper's is that of the sweep


def test_draws_every_figure_of_the_paper(run):
    run_dir, _ = run
    words = figures(run_dir, "figures")["figures"]
    assert set(words) == set(DRAWN)
    # So small a GAN may not have one accepted feature of a class; then its figure says that there is nothing to show.
    kept = {name: count > 0 for name, count in figures(run_dir, "synthetic_acgan")["kept"].items()}
    empty = {figure for figure, name in (("figure_09", "HGG"), ("figure_10", "LGG")) if not kept[name]}
    assert len(empty) < 2
    page = (run_dir / "report" / "index.html").read_text()
    kept = figures(run_dir, "synthetic_acgan")["kept"]  # after three epochs perhaps none of a class
    missing = {"figure_09": not kept["HGG"], "figure_10": not kept["LGG"]}
    for name in DRAWN:
        png = (run_dir / "figures" / f"{name}.png").read_bytes()
        assert png.startswith(b"\x89PNG")
        assert (len(png) < 9_000) == missing.get(name, False), name
        assert ("No synthetic" in words[name]["alt"]) == missing.get(name, False)
        assert (run_dir / "report" / "figures" / f"{name}.png").read_bytes() == png
        assert base64.b64encode(png).decode() in page
        assert html.escape(words[name]["alt"], quote=True).replace("&#x27;", "&#39;") in page
    assert f"Pre-trained weights: {run_dir / 'pretraining' / 'unet' / 'best.npz'}." in words["figure_07"]["caption"]
    assert words["figure_11"]["alt"].endswith("a line for each of 4; 8.")
    sizes = "conv1 64×64×4, conv2 32×32×8, conv3 16×16×16, conv4 8×8×32, conv5 4×4×64"
    assert sizes + ", uconv4 8×8×32, uconv3 16×16×16, uconv2 32×32×8, uconv1 64×64×4" in words["figure_08"]["alt"]
    # two patients of each class, and a synthetic feature of each
    assert words["figure_grad_cam"]["alt"].count("p(HGG)") == 6 - sum(missing.values())


def test_tables_stand_beside_the_papers_numbers(run):
    run_dir, _ = run
    tables = {}
    for name in ("table_1", "table_2", "table_3"):
        text = (run_dir / "report" / "tables" / f"{name}.csv").read_text()
        assert text == (run_dir / "figures" / f"{name}.csv").read_text()
        tables[name] = list(csv.DictReader(text.splitlines()))
    assert all(float(row["paper"]) == float(row["this_run"]) for row in tables["table_1"])
    segmentation = figures(run_dir, "unet")["segmentation"]
    assert {row["split"]: float(row["iou"]) for row in tables["table_2"]} == {
        split: found["iou"] for split, found in segmentation.items()
    }
    report = json.loads((run_dir / "report" / "report.json").read_text())
    rows = {
        (row["unit"], row["arm"], row["classifier"]): row for row in tables["table_3"] if row["source"] == "this run"
    }
    assert len(rows) == len(report["classification"]) == 8
    for row in report["classification"]:
        found = rows[row["unit"], row["arm"], row["classifier"]]
        assert float(found["balanced_accuracy"]) == row["balanced_accuracy"]
        assert float(found["accuracy_LGG"]) == row["accuracy"]["LGG"]


def test_figures_and_features_are_in_tensorboard(run):
    run_dir, _ = run
    folder = run_dir / "tensorboard" / "projector"
    (cloud,) = text_format.Parse(
        (folder / "projector_config.pbtxt").read_text(), projector.ProjectorConfig()
    ).embeddings
    points = np.loadtxt(folder / cloud.tensor_path, delimiter="\t")
    known = list(csv.DictReader((folder / cloud.metadata_path).read_text().splitlines(), delimiter="\t"))
    kept = figures(run_dir, "synthetic_acgan")["synthetic"]
    assert points.shape == (13 * 4 + kept, 64)
    assert Counter(row["source"] for row in known) == {"real": 13 * 4, "synthetic": kept}
    feature = next(iter(Store(run_dir / "features", "validation").dataset().batch(1)))
    (first, *_) = [number for number, row in enumerate(known) if row["split"] == "validation"]
    assert known[first]["patient"] == feature["patient"][0].numpy().decode()
    assert known[first]["label"] == ("LGG", "HGG")[int(feature["label"][0])]
    np.testing.assert_allclose(points[first], feature["feature"][0].numpy().mean((0, 1)), rtol=1e-3, atol=1e-6)
    for stage, tag in {
        "slices": "split/train/slices/HGG",
        "unet": "segmentation/test/hard_dice",
        "features": "features/test",
        "generator_acgan": "generator",
        "synthetic_acgan": "kept/HGG",
        "classifiers": "classification/augmented_generative_patient_cnn/balanced_accuracy",
    }.items():
        assert tag in EventAccumulator(str(run_dir / "tensorboard" / stage)).Reload().Tags()["tensors"]
    shown = EventAccumulator(str(run_dir / "tensorboard" / "figures")).Reload().Tags()["tensors"]
    assert set(shown) == set(DRAWN)


def test_no_patient_is_in_two_splits(run):
    run_dir, _ = run
    for folder in ("slices", "features"):
        groups = [set(Store(run_dir / folder, split).patients) for split in ("train", "validation", "test")]
        assert all(groups)
        assert len(set.union(*groups)) == sum(map(len, groups)) == 13
    split = json.loads((run_dir / "slices" / "split.json").read_text())
    assert set(Store(run_dir / "slices", "test").patients) <= set(str(split).replace("'", " ").split())


def test_no_id_of_a_patient_is_left_or_said(run):
    run_dir, done = run
    words = [patient.id for patient in layouts.find_cohort(run_dir / "phantom" / "cohort").patients]
    hits = markers.found(run_dir, words)
    phantoms = {path for path, _ in hits if "phantom" in path.relative_to(run_dir).parts}
    assert len(phantoms) >= 2 * len(words)
    assert {path for path, _ in hits} == phantoms  # the synthetic cohorts, and nothing that was made of them
    assert not [word for word in words if word in done.stdout + done.stderr]


def test_slices_are_normalised_by_training_patients_alone(run):
    run_dir, _ = run
    train = np.stack([record["image"].numpy() for record in Store(run_dir / "slices", "train").dataset()])
    assert train.mean() == pytest.approx(0.0, abs=1e-4)
    assert train.std() == pytest.approx(1.0, abs=1e-4)
    names = pseudonyms.read(str(run_dir.parent / "key"), str(run_dir))
    patients = {names.of(one.id): one for one in layouts.find_cohort(run_dir / "phantom" / "cohort").patients}
    ids = sorted(set(Store(run_dir / "slices", "train").patients))
    raw = [slicing.as_displayed(volumes.read_volume(patients[i].images["flair"]).voxels)[4:-4, 4:-4] for i in ids]
    found = figures(run_dir, "slices")
    assert found["mean"][0] == pytest.approx(np.mean(raw), rel=1e-5)
    assert found["deviation"][0] == pytest.approx(np.std(raw), rel=1e-5)


def test_features_are_those_of_the_trained_unet(run):
    run_dir, _ = run
    records = {name: json_files.read_json(run_dir / name / "stage.json") for name in ("slices", "unet")}
    unet = unet_export.restore_unet(
        run_dir / "unet", config=records["unet"]["config"], slices=records["slices"], precision="float32"
    )
    image = next(iter(Store(run_dir / "slices", "test").dataset().batch(3)))["image"]
    feature = next(iter(Store(run_dir / "features", "test").dataset().batch(3)))["feature"]
    np.testing.assert_allclose(tap_model(unet, "conv5")(image), feature, atol=1e-4)


def test_weights_are_those_of_the_best_epoch(run):
    run_dir, _ = run
    history = json_files.read_json(run_dir / "unet" / "history.json")
    found = figures(run_dir, "unet")
    best, epochs = found["best_epoch"], range(len(history["loss"]))
    allowed = [epoch for epoch in epochs if not history["collapsed"][epoch]] or epochs
    assert history["val_volume_dice"][best] == max(history["val_volume_dice"][epoch] for epoch in allowed)
    assert found["segmentation"]["validation"]["iou"] == pytest.approx(history["val_iou"][best], abs=0.02)


def test_second_run_skips_everything(run, caplog):
    run_dir, _ = run
    before = {
        path: path.stat().st_mtime_ns
        for path in run_dir.rglob("*")
        if path.is_file() and path.suffix not in (".txt", ".lock")
    }
    with caplog.at_level(logging.INFO, logger="absl"):
        run_again(run_dir, f"--flagfile={run_dir / 'flags.txt'}")
    # of the points: a U-Net, a tap's features, GAN, synthetic features and classifier, and so on
    assert caplog.text.count("done before, skipped") == len(FOLDERS) + sum(map(len, OWN.values()))
    after = {path: path.stat().st_mtime_ns for path in before}
    assert after == before


def test_deleting_a_folder_redoes_it_and_what_follows(run, tmp_path):
    copy = shutil.copytree(run[0], tmp_path / "run", symlinks=True)
    shutil.rmtree(copy / "classifiers")
    before = {name: (copy / name / "stage.json").stat().st_mtime_ns for name in FOLDERS if name != "classifiers"}
    run_again(copy, f"--flagfile={run[0] / 'flags.txt'}")
    after = {name: (copy / name / "stage.json").stat().st_mtime_ns for name in FOLDERS}
    redone = {name for name in FOLDERS if after[name] != before.get(name)}
    assert redone == {"classifiers", "export", "sweep", "figures", "report"}


def test_flags_txt_gives_the_config_back(run):
    run_dir, _ = run
    config = cli.parse(pipeline.Config, [f"--flagfile={run_dir / 'flags.txt'}"])
    assert config.run_dir == str(run_dir)
    assert config.unet_width == 4
    assert config == cli.parse(
        pipeline.Config,
        [
            f"--flagfile={TINY}",
            f"--run_dir={run_dir}",
            f"--unet_weights={run_dir}/pretraining/unet/best.npz",
            *pseudonymous(run_dir),
        ],
    )


def test_savedmodels_give_the_numbers_of_before(run, tmp_path):
    """In a process that knows TensorFlow and nothing of ours: mask, features, class and generated features."""
    run_dir, _ = run
    raw = np.random.default_rng(0).uniform(0, 800, (2, 75, 66, 1)).astype(np.float32)
    np.save(tmp_path / "raw.npy", raw)
    script = f"""
import sys
import numpy as np
import tensorflow as tf
unet, generator, classifier = (
    tf.saved_model.load("{run_dir}/export/" + name) for name in ("unet", "generator", "classifier")
)
raw = tf.constant(np.load("{tmp_path}/raw.npy"))
found = unet.signatures["segment"](image=raw)
scores = classifier.signatures["classify"](feature=found["feature"])
drawn = generator.signatures["sample"](count=tf.constant(3), label=tf.constant(1), seed=tf.constant([1, 2], tf.int64))
assert not [name for name in ("tensorlayer", "tensorflow_addons", "rembrandt_featgen") if name in sys.modules]
np.savez("{tmp_path}/found.npz", drawn=drawn["feature"], classes=scores["classes"],
         positive=scores["probability"][:, 1], **found)
"""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path, env=environment, capture_output=True)
    found = np.load(tmp_path / "found.npz", allow_pickle=True)
    records = {
        name: json_files.read_json(run_dir / name / "stage.json")
        for name in ("slices", "unet", "generator_acgan", "classifiers", "export")
    }
    slices = records["slices"]["figures"]
    normalised = (raw[:, 5:69, 1:65] - slices["mean"][0]) / slices["deviation"][0]
    unet = unet_export.restore_unet(
        run_dir / "unet", config=records["unet"]["config"], slices=records["slices"], precision="float32"
    )
    np.testing.assert_allclose(found["probability"][:, 5:69, 1:65], unet(normalised), atol=1e-5)
    assert not found["mask"][:, :5].any()
    feature = tap_model(unet, "conv5")(normalised)
    np.testing.assert_allclose(found["feature"], feature, atol=1e-4)
    shape = tuple(records["generator_acgan"]["figures"]["shape"])
    chosen = records["export"]["figures"]["classifier"]
    network = classifier_export.restore_classifier(
        run_dir / "classifiers",
        chosen,
        shape=shape,
        filters=records["classifiers"]["config"]["classifier_filters"],
        units=records["classifiers"]["config"]["classifier_units"],
    )
    np.testing.assert_allclose(found["positive"], network(feature)[:, 1], atol=1e-5)
    assert [name.decode() for name in found["classes"]] == ["LGG", "HGG"]
    gan = gan_export.restore_gan(run_dir / "generator_acgan")
    noise = tf.random.stateless_normal([3, gan.latent], [1, 2])
    np.testing.assert_allclose(found["drawn"], gan.generate(noise, tf.constant([1, 1, 1])), atol=1e-4)


def test_exports_the_unet_for_tensorlayer(run):
    """What `tl.files.load_npz` would read is the best epoch's weights, to the last bit."""
    params = np.load(run[0] / "export" / "unet_tensorlayer.npz", allow_pickle=True)["params"]
    with np.load(run[0] / "unet" / "best.npz") as best:
        assert len(params) == len(best.files) == 46
        for index, array in enumerate(params):
            np.testing.assert_array_equal(array, best[f"arr_{index}"])


def test_predict_keeps_the_inputs_geometry(run, tmp_path):
    run_dir, _ = run
    source = sorted((run_dir / "phantom" / "cohort").glob("*/*/*_flair.nii.gz"))[0]
    turned = nib.load(source).as_reoriented(nib.orientations.axcodes2ornt("PIL"))  # axes in another order and direction
    affine = turned.affine + np.array([[0, 0, 0, 10], [0, 0, 0, -20], [0, 0, 0, 5], [0, 0, 0, 0]])
    nib.save(nib.Nifti1Image(np.asarray(turned.dataobj), affine), tmp_path / "turned.nii")
    (tmp_path / "a [b]").symlink_to(run_dir / "export")  # which TensorFlow takes for a pattern
    results = {}
    for name, image in (("straight", source), ("turned", tmp_path / "turned.nii")):
        mask, result = tmp_path / f"{name}.nii.gz", tmp_path / f"{name}.json"
        predict.run(predict.Config(str(tmp_path / "a [b]"), (str(image),), str(mask), result=str(result)))
        found, wanted = nib.load(mask), nib.load(image)
        assert found.shape == wanted.shape
        np.testing.assert_allclose(found.affine, wanted.affine)
        assert set(np.unique(found.dataobj)) <= {0, 1}
        results[name] = json.loads(result.read_text()), nib.as_closest_canonical(found).get_fdata()
    # the same head lying otherwise in the file has the same tumour and the same class
    np.testing.assert_array_equal(results["straight"][1], results["turned"][1])
    straight, turned = (results[name][0]["probability"] for name in ("straight", "turned"))
    assert straight == pytest.approx(turned, abs=1e-5)
    assert list(straight) == ["LGG", "HGG"]
    assert results["straight"][0]["label"] == max(straight, key=straight.get)


def heeds_interrupts():
    """Has a process heed Ctrl-C, which those of jobs in the background are told to ignore."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_killed_training_resumes(run, tmp_path, caplog):
    """Ctrl-C, then SIGKILL, in the middle of the U-Net's training; each run continues after the last whole epoch."""
    epochs = 30  # long enough to be killed before it ends
    home = tmp_path / "run [x] ü ~ 'q' *"  # which TensorFlow takes for a pattern
    home.mkdir()
    shutil.copytree(run[0] / "slices", home / "slices")
    flags = [f"--flagfile={TINY}", f"--run_dir={home}", f"--unet_epochs={epochs}", "--unet_patience=0"]
    command = [sys.executable, "-m", "rembrandt_featgen.stages.train_unet", *flags]
    history = home / "unet.part" / "history.json"
    done = 0
    for how, status in ((signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)):
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, preexec_fn=heeds_interrupts)
        deadline = time.time() + 240
        while time.time() < deadline and process.poll() is None:
            if history.exists() and len(json.loads(history.read_text())["loss"]) >= done + 2:
                break
            time.sleep(0.05)
        process.send_signal(how)
        _, said = process.communicate(timeout=60)
        assert process.returncode == status, said
        assert "Traceback" not in said
        assert said.endswith("interrupted; run the same command again to resume\n") == (how is signal.SIGINT)
        before, done = done, len(json.loads(history.read_text())["loss"])
        assert before + 2 <= done < epochs, "the run ended before it could be killed"
        assert not before or f"resumed after epoch {before}" in said
        assert not (home / "unet").exists()
    with caplog.at_level(logging.INFO, logger="absl"):
        train_unet.run(cli.parse(train_unet.Config, flags, stages.all_flags))
    assert f"resumed after epoch {done}" in caplog.text
    record = json_files.read_json(home / "unet" / "stage.json")
    assert record["resumed"]
    assert len(json_files.read_json(home / "unet" / "history.json")["loss"]) == epochs


def test_points_of_sweeps_share_what_they_can(run):
    run_dir, _ = run
    assert {path.name for path in (run_dir / "sweep_points").iterdir()} == set(OWN)
    for point, own in OWN.items():
        folders = [path for path in (run_dir / "sweep_points" / point).iterdir() if path.name != "tensorboard"]
        assert {path.name for path in folders if path.is_dir() and not path.is_symlink()} == own, point
        assert all(path.resolve() == run_dir / path.name for path in folders if path.is_symlink())


def test_table_of_sweeps_has_every_point_and_what_failed(run):
    run_dir, _ = run
    text = (run_dir / "report" / "tables" / "sweep.csv").read_text()
    assert text == (run_dir / "sweep" / "sweep.csv").read_text()
    rows = {(f"{row['axis']}={row['value']}", row["arm"]): row for row in csv.DictReader(text.splitlines())}
    arms = {name: ("baseline", "augmented") if name.startswith("tap") else ("augmented",) for name in OWN}
    arms |= {"implementation=correct": arms["tap=conv5"], "implementation=augmentation": arms["tap=conv5"]}
    arms |= {"added=0": ("baseline",), "added=100": ("",)}
    assert set(rows) == {(name, arm) for name in OWN if not name.startswith("start") for arm in arms[name]}
    failed = rows["added=100", ""]
    assert "--synthetic_added=100" in failed["note"] and not failed["test_patient_balanced_accuracy"]
    classified = figures(run_dir, "classifiers")["classification"]
    table = {row["arm"]: row for row in classified if (row["classifier"], row["unit"]) == ("cnn", "patient")}
    assert float(rows["tap=conv5", "augmented"]["test_patient_balanced_accuracy"]) == pytest.approx(
        table["augmented"]["balanced_accuracy"]
    )
    gans = [rows[f"gan={kind}", "augmented"] for kind in ("acgan", "cgan")]
    assert [row["gan"] for row in gans] == ["acgan", "cgan"]
    assert gans[0]["class_accuracy_by_discriminator"] and not gans[1]["class_accuracy_by_discriminator"]
    assert rows["implementation=augmentation", "baseline"]["implementation"] == "augmentation"
    dice = {row["unet_test_hard_dice"] for (point, _), row in rows.items() if point != "implementation=augmentation"}
    assert {float(each) for each in dice} == {figures(run_dir, "unet")["segmentation"]["test"]["hard_dice"]}
    assert rows["implementation=augmentation", "baseline"]["unet_test_hard_dice"] not in dice
    added = [row for (point, _), row in rows.items() if point.startswith(("added", "balancing"))]
    assert sum(row["chosen"] == "True" for row in added) == 1
    losses = [(float(row["validation_patient_log_loss"]), row["chosen"]) for row in added if row["chosen"]]
    assert (min(losses)[0], "True") in losses  # of which there may be two
    assert failed["note"] in html.unescape((run_dir / "report" / "index.html").read_text())


def test_fine_tuning_and_training_from_scratch_take_equal_steps(run):
    rows = list(csv.DictReader((run[0] / "report" / "tables" / "pretraining.csv").read_text().splitlines()))
    assert [(row["start"], row["steps"], row["epochs"]) for row in rows] == [
        ("pre-trained", "21", "3"),  # 28 training slices in batches of 4
        ("scratch", "21", "3"),
    ]
    found = figures(run[0], "unet")["segmentation"]["test"]
    assert float(rows[0]["test_iou"]) == found["iou"]
    assert float(rows[0]["difference"]) == pytest.approx(
        float(rows[0]["test_patient_hard_dice"]) - float(rows[1]["test_patient_hard_dice"])
    )
