"""tools/benchmark: turns of processes, and each subject's own sides at a tiny size, with times that are given."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from rembrandt_featgen.core.errors import InputError

TOOLS = Path(__file__).parent.parent / "tools"
TINY = {
    "rounds": 3,
    "image_size": 32,
    "batch": 2,
    "slices": 4,
    "peer_slices": 2,
    "widths": ("1",),
    "taps": ("conv5",),
    "extract_slices": 3,
    "store_samples": 8,
    "store_size": 4,
    "store_channels": 2,
    "store_batch": 4,
    "store_filters": 2,
    "feature_size": 4,
    "feature_channels": 2,
    "gan_filters": 2,
    "gan_batch": 2,
    "gan_steps": 2,
    "classifier_samples": 4,
    "classifier_batch": 2,
    "classifier_filters": 2,
    "classifier_units": 2,
    "trainings_draws": 2,
    "trainings_loop": 1,
    "trainings_patients": 20,
    "trainings_numbers": 4,
}
# Of each subject: seconds of a side's rounds, the last word of its name deciding; 1 where none is given.
SECONDS = {
    "augmentation": {"ours": [0.5, 0.1, 9.0], "tensorlayer": [4.0] * 3, "torchio": [0.5] * 3},
    "unet": {"bfloat16": [0.5] * 3, "pytorch bfloat16": [2.0] * 3, "pytorch float32": [1.5] * 3},
    "extraction": {"extract conv5": [0.5] * 3, "run everything": [2.0] * 3, "run conv5": [0.25] * 3},
    "store": {"from store": [1.25] * 3, "read": [4.0]},
    "feeding": {"unet correct": [0.1, 0.002, 0.004], "acgan bfloat16": [0.5] * 3},
    "acgan": {"bfloat16": [0.25] * 3, "pytorch bfloat16": [0.5] * 3, "pytorch float32": [3.0] * 3},
    "classifier": {"bfloat16": [2.0] * 3, "pytorch bfloat16": [5.0] * 3},
    "trainings": {"ours": [2.0] * 3, "MLPClassifier in a loop": [5.0] * 3},
}
# name: value, ratio, against; worked by hand from TINY and SECONDS
EXPECTED = {
    "augmentation": {
        "augmentation_ours": (8.0, None, None),
        "augmentation_monai": (2.0, None, None),
        "augmentation_vs_tensorlayer": (8.0, 16.0, "tensorlayer"),
        "augmentation_vs_fastest_peer": (8.0, 2.0, "torchio"),
    },
    "unet": {
        "unet_train_float32_width_1": (4.0, None, None),  # two steps of two slices in a round
        "unet_train_bfloat16_width_1": (8.0, 2.0, "float32"),
        "unet_forward_bfloat16_width_1": (4.0, 2.0, "float32"),
        "unet_train_vs_pytorch": (8.0, 8.0, "pytorch bfloat16"),  # which takes one step in a round
        "unet_train_float32_vs_pytorch": (4.0, 3.0, "pytorch float32"),
        "unet_forward_vs_pytorch": (4.0, 4.0, "pytorch bfloat16"),
        "matmul_peak_bfloat16": (2e-9 * 8**3, None, None),
        # 8 slices a second; 16 pixels a side take 301056 operations, 32 four times as many
        "unet_train_vs_matmul_peak": (8e-9 * 4 * 301056, 9408.0, "matrix product bfloat16"),
        "unet_train_float32_vs_matmul_peak": (4e-9 * 4 * 301056, 4704.0, "matrix product float32"),
    },
    "extraction": {
        "extract_conv5": (6.0, None, None),
        "extract_conv5_peak_memory": (3.0, None, None),
        "extract_conv5_vs_full_forward": (6.0, 4.0, "forward pass of the whole U-Net"),
        "extract_conv5_vs_bare_forward": (6.0, 0.5, "forward pass up to conv5"),
    },
    "store": {
        "store_vs_memory_throughput": (6.4, 0.8, "memory"),
        "store_10n_vs_memory_throughput": (80.0, 10.0, "memory"),
        "store_peak_memory_10n_vs_n": (3.0, 1.0, "n"),
        "store_read": (20.0, None, None),
    },
    "feeding": {
        "feeding_unet_correct": (7500.0, 7500 / 790, "U-Net on an H100"),
        "feeding_unet_reference": (30.0, 30 / 790, "U-Net on an H100"),
        "feeding_acgan_bfloat16": (80.0, 80 / 1280, "ACGAN on an H100"),
        "feeding_classifier_float32_zstd": (40.0, None, None),
    },
    "acgan": {
        "acgan_step_float32": (2.0, None, None),
        "acgan_step_bfloat16": (8.0, 4.0, "float32"),
        "acgan_step_vs_pytorch": (8.0, 2.0, "pytorch bfloat16"),
        "acgan_step_float32_vs_pytorch": (2.0, 3.0, "pytorch float32"),
    },
    "classifier": {
        "classifier_train_bfloat16": (2.0, 0.5, "float32"),
        "classifier_train_bfloat16_vs_pytorch": (2.0, 2.5, "pytorch bfloat16"),
        "classifier_train_float32_vs_pytorch": (4.0, 1.0, "pytorch float32"),
    },
    "trainings": {
        "trainings_24": (2.0, None, None),
        "trainings_peak_memory": (3.0, None, None),
        # 60 epochs of one batch: 20 patients, or 28 where the 6 of the minority become 14
        "trainings_vs_scikit_learn": (2 * 12 * 60 / 2.0, 60.0, "MLPClassifier in a loop"),
    },
}
# A flagfile of the subject "paper", of a width, but not of numbers of steps, that is tiny.
PAPER_FLAGS = """
--image_size=32
--unet_width=1
--unet_epochs=3
--unet_batch=4
--extract_batch=4
--ndf=2
--ngf=2
--gan_epochs=2
--gan_batch=4
--synthetic_per_class=100
--generate_batch=8
--synthetic_added=50
--classifier_filters=2
--classifier_units=2
--classifier_epochs=5
--classifier_batch=4
--generators=acgan,cgan
--sweep_from_scratch=true
--sweep_reference=augmentation
--sweep_generators=cgan
--sweep_filters=2
--sweep_taps=conv4
--sweep_added=0,50,all
--sweep_added_to=all,minority,LGG
"""
# Of its sides: seconds of the two steps of each clock.
PAPER_SECONDS = {
    "prepare_slices": {"prepare_slices": [0.036, 0.018]},
    "train_unet": {"train_unet": [8.0, 10.0], "evaluate": [3.6, 3.6]},
    "bfloat16": {"train_unet": [4.5, 4.5]},
    "extract_features": {"extract_features": [1.8, 1.8]},
    "train_generators": {"train_generators": [0.9, 0.9]},
    "generate_synthetic": {"generate_synthetic": [4.0, 5.0]},
    "train_classifiers": {"cnn": [0.36, 0.36], "linear": [0.036, 0.036]},
    "cgan": {"train_generators": [3.6, 3.6], "generate_synthetic": [36.0, 36.0]},
    "cohort of sweeps": {"prepare_slices": [7.0, 7.0]},
    "implementation=augmentation": {"train_unet": [18.0, 18.0]},
    "tap=conv4": {
        "extract_features": [3.6, 3.6],
        "train_generators": [1.8, 1.8],
        "generate_synthetic": [9.0, 9.0],
        "cnn": [0.72, 0.72],
    },
}
# name: value, ratio. A tenth of the patients validates: 6 of the 54 HGG, with 2712 / 9 = 301 slices, and 4 of the 36
# LGG, with 203. So 4036 slices train, 504 validate, 570 test: 1009, 126 and 143 batches of 4.
PAPER_EXPECTED = {
    "paper_prepare_slices_hours": (5110 * 0.027 / 3600, None),
    "paper_prepare_slices_rate_2nd_vs_1st_half": (1 / 0.018, 2.0),
    "paper_train_unet_hours": (3 * 1009 * 9 / 3600, None),
    "paper_train_unet_rate_2nd_vs_1st_half": (0.1, 0.8),
    "paper_train_unet_memory_2nd_vs_1st_half": (2.5, 1.25),
    "paper_train_unet_bfloat16_hours": (3 * 1009 * 4.5 / 3600, 0.5),
    "paper_train_unet_bfloat16_rate_2nd_vs_1st_half": (1 / 4.5, 1.0),
    "paper_evaluate_hours": ((3 * 126 + 1009 + 126 + 143) / 1000, None),
    "paper_extract_features_hours": (1278 / 2000, None),
    "paper_train_generators_hours": (2 * 1009 / 4000 + 2 * 1009 / 1000, None),
    # 100 / 0.823 = 122 of a class: 16 batches of 8; a cgan accepts all, so it draws 100
    "paper_generate_synthetic_hours": (2 * 16 / 800 + 2 * 13 / 100, None),
    "paper_generate_synthetic_rate_2nd_vs_1st_half": (0.2, 0.8),
    "paper_train_classifiers_hours": (5 * (1009 + 1022) * 0.396 / 3600, None),
    "paper_total_hours": (13.840375, None),
    "paper_sweep_start_hours": (7.5675 + 1.656, None),
    # its own steps of fine-tuning; it evaluates, extracts, trains and draws like the run
    "paper_sweep_implementation_hours": (15.135 + 1.656 + 0.639 + 0.5045 + 0.04 + 5 * (1009 + 1022) / 10000, None),
    "paper_sweep_gan_hours": (5 * 1022 / 10000, None),  # the run has a cgan, but no CNN of it
    "paper_sweep_tap_hours": (1278 / 1000 + 2018 / 2000 + 32 / 400 + 10155 / 5000, None),
    "paper_sweep_filters_hours": (0.0, None),  # the run's own
    "paper_sweep_added_hours": (5 * 1059 / 10000, None),  # all 200; 0 and 50 are the run's own
    "paper_sweep_balancing_hours": (5 * (1022 + 1034) / 10000, None),  # 50 and all 100
    "paper_sweep_added_LGG_hours": (5 * (1022 + 1034) / 10000, None),  # 50 and all 100
    "paper_total_with_sweeps_hours": (49.548375, 49.548375 / 13.840375),
}


@pytest.fixture(scope="module", autouse=True)
def tools_on_path():
    sys.path.insert(0, str(TOOLS))
    yield
    sys.path.remove(str(TOOLS))


@pytest.fixture
def benchmark():
    return importlib.import_module("benchmark")


@pytest.fixture
def turns():
    return importlib.import_module("benchmarks.turns")


def writers(turns, path, names, **options):
    return {
        name: turns.Side("tests.benchmark_sides:writer", {"file": str(path), "name": name}, **options) for name in names
    }


def test_sides_take_turns_after_a_first_round_each(turns, tmp_path):
    found = turns.take_turns(writers(turns, tmp_path / "log", "abc"), 2)
    assert (tmp_path / "log").read_text() == "abc" + "abcabc"
    assert list(found) == ["a", "b", "c"]
    assert [one.facts for one in found.values()] == [{"name": "a"}, {"name": "b"}, {"name": "c"}]
    for one in found.values():
        assert len(one.seconds) == len(one.cpu_seconds) == 2
        assert min(one.seconds) > 0
        assert 5e6 < one.peak_bytes < 1e9


def test_a_peer_that_fails_is_left_out_and_said(turns, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(turns, "PEERS_PYTHON", sys.executable)
    sides = {"poor": turns.Side("tests.benchmark_sides:failing", {}, peer=True), **writers(turns, tmp_path / "x", "a")}
    assert list(turns.take_turns(sides, 1)) == ["a"]
    assert "poor could not be measured" in (said := capsys.readouterr().out)
    assert "this side cannot be" in said


def test_our_own_side_that_fails_ends_the_benchmark(turns):
    with pytest.raises(RuntimeError, match=r"(?s)ours ended \(1\).*this side cannot be"):
        turns.take_turns({"ours": turns.Side("tests.benchmark_sides:failing", {})}, 1)


def test_fastest_keeps_the_best_of_those_that_work(turns, monkeypatch):
    seconds = {"slow": [5.0, 3.0], "fast": [2.0, 4.0]}
    monkeypatch.setattr(turns, "_timed", lambda function: (seconds[function()].pop(0), 0.0))
    candidates = {"slow": lambda: "slow", "broken": lambda: 1 / 0, "fast": lambda: "fast"}
    work, facts = turns.fastest(candidates, 2)
    assert work is candidates["fast"]
    assert facts == {
        "setting": "fast",
        "settings": {"slow": 3.0, "broken": "ZeroDivisionError: division by zero", "fast": 2.0},
    }


def test_fastest_says_why_nothing_works(turns):
    with pytest.raises(RuntimeError, match="division by zero"):
        turns.fastest({"broken": lambda: 1 / 0, "too": lambda: 1 / 0})


@pytest.mark.parametrize("subject", EXPECTED)
def test_rows_of_a_subject(benchmark, turns, subject, tmp_path, monkeypatch):
    facts, done = {}, []

    def take_turns(sides, rounds):
        """Does one round of our own sides here, of each function once, and says the given seconds."""
        found = {}
        for name, side in sides.items():
            module, function = side.function.split(":")
            if not side.peer and side.function not in done:
                done.append(side.function)
                work = getattr(importlib.import_module(module), function)(side.options)
                work.round()
                facts.update(work.facts)
            seconds = SECONDS[subject].get(name, [1.0] * rounds)
            found[name] = turns.Measured(seconds, seconds, facts, 3 * 10**9)
        return found

    monkeypatch.setattr(turns, "take_turns", take_turns)
    monkeypatch.setattr(importlib.import_module("benchmarks.matmul"), "SIZES", (8,))
    config = benchmark.Config(str(tmp_path), **TINY)
    found, taken = importlib.import_module(f"benchmarks.{subject}").measure(config, True)
    assert all(list(row) == ["name", "value", "unit", "ratio", "against"] for row in found)
    assert len({row["name"] for row in found}) == len(found)
    assert all(np.isfinite(row["value"]) and row["unit"] for row in found)
    assert taken
    rows = {row["name"]: row for row in found}
    for name, (value, ratio, against) in EXPECTED[subject].items():
        assert rows[name]["value"] == pytest.approx(value), name
        assert rows[name]["ratio"] == (ratio and pytest.approx(ratio)), name
        assert rows[name]["against"] == against, name


def test_hours_of_the_whole_run(benchmark, turns, tmp_path, monkeypatch):
    def take_turns(sides, rounds):
        """Runs the side here, and puts the given seconds in the place of its own."""
        ((name, side),) = sides.items()
        module, function = side.function.split(":")
        work = getattr(importlib.import_module(module), function)(side.options)
        work.round()
        assert set(work.facts) == set(PAPER_SECONDS[name]), name
        for clock, facts in work.facts.items():
            assert len(facts["seconds"]) == 2, (name, clock)
            assert 0 < min(facts["seconds"]) < max(facts["seconds"]) < 60
            low, high = facts["peak_bytes"]
            assert 1e8 < low <= 1.01 * high < 1e11  # the same peak, but for some pages
            facts |= {"seconds": PAPER_SECONDS[name][clock], "peak_bytes": [2 * 10**9, 25 * 10**8]}
        return {name: turns.Measured([], [], work.facts, 3 * 10**9)}

    monkeypatch.setattr(turns, "take_turns", take_turns)
    flagfile = tmp_path / "tiny.flags"
    flagfile.write_text(PAPER_FLAGS)
    config = benchmark.Config(str(tmp_path), paper_flags=str(flagfile), paper_steps=2)
    found, taken = importlib.import_module("benchmarks.paper").measure(config, False)
    assert list(taken) == list(PAPER_SECONDS)
    rows = {row["name"]: row for row in found}
    assert len(rows) == len(found)
    for name, (value, ratio) in PAPER_EXPECTED.items():
        assert rows[name]["value"] == pytest.approx(value), name
        assert rows[name]["ratio"] == (ratio and pytest.approx(ratio)), name
    assert list(tmp_path.iterdir()) == [flagfile]


@pytest.fixture
def paper(tmp_path, monkeypatch):
    """The module, its flags of a flagfile, and the file."""
    monkeypatch.chdir(TOOLS.parent)  # flagfiles include one another from there
    module, flagfile = importlib.import_module("benchmarks.paper"), tmp_path / "own.flags"

    def check(*lines):
        flagfile.write_text("\n".join(lines))
        return module.check(str(flagfile))

    return module, check, flagfile


def test_hours_of_every_sweep_are_estimated(paper, tmp_path):
    module, check, _ = paper
    flags = check("--flagfile=flags/reproduce.flags", "--sweep_taps=conv3")
    after_features = ["train_generators", "generate_synthetic", "train_classifiers"]
    own = {point.name: own for point, own in module.sweep_points(flags, tmp_path / "base")}
    assert own["start=scratch"] == ["train_unet"]
    assert own["implementation=gan_loss"] == own["filters=256"] == after_features
    assert own["gan=image_acgan"] == own["added_HGG=all"] == ["train_classifiers"]
    assert own["added=0"] == own["added=200"] == []  # the run's own


@pytest.mark.parametrize(
    ("receiver", "samples"), [("all", 4036 + 4800), ("minority", 4036 + 786), ("HGG", 4036 + 2400)]
)
def test_all_that_can_be_added_is(paper, receiver, samples):
    module, check, _ = paper
    flags = check("--synthetic_per_class=2400", "--synthetic_added=0", f"--synthetic_to={receiver}")
    batches = -(-samples // flags.classifier_batch)
    assert module.steps(flags, ("augmented",))["cnn"] == flags.classifier_epochs * batches


@pytest.mark.parametrize("sampling", ["slices", "patients"])
def test_steps_of_a_unet_are_counted_as_it_is_trained(paper, sampling):
    module, check, _ = paper
    lines = ("--unet_epochs=3", "--unet_batch=4", f"--unet_sampling={sampling}")
    by_epochs = module.steps(check(*lines))
    assert by_epochs["train_unet"] == 3 * 1009
    by_steps = module.steps(check(*lines, "--unet_steps=250", "--unet_validate_every=100"))
    assert by_steps["train_unet"] == 3 * 100  # whole epochs
    assert by_steps["evaluate"] == by_epochs["evaluate"]  # three epochs, too
    assert module.steps(check(*lines, "--unet_steps=50"))["train_unet"] == 50


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--features_from=slices", "--features_from=slices is not measured"),
        ("--tap=crop_cnn", "crop_cnn is not measured"),
        ("--sweep_taps=conv3,crop_cnn", "crop_cnn is not measured"),
        ("--classifier_kinds=linear", "without cnn it is not measured"),
        ("--generators=gan", "--generators=gan: 'gan' is not known; take some of"),
    ],
)
def test_flags_without_a_clock_are_refused(paper, line, message):
    _, check, flagfile = paper
    with pytest.raises(InputError, match=message) as refused:
        check(line)
    assert "generators" in line or str(flagfile) in str(refused.value)


def test_networks_with_other_numbers_of_parameters_are_not_compared(benchmark, turns, tmp_path, monkeypatch):
    def take_turns(sides, rounds):
        return {name: turns.Measured([1.0], [1.0], {"parameters": side.peer}, 1) for name, side in sides.items()}

    monkeypatch.setattr(turns, "take_turns", take_turns)
    for subject in ("unet", "acgan", "classifier"):
        with pytest.raises(RuntimeError, match="the networks are not the same"):
            importlib.import_module(f"benchmarks.{subject}").measure(benchmark.Config(str(tmp_path), **TINY), True)


def test_flops_of_the_unet_by_hand():
    flops = importlib.import_module("benchmarks.unet").flops
    # Width 1 at 16x16: ten convolutions of the encoder, 6 of 4608 and 4 of 2304; four levels of 2304 + 13824; head 512.
    assert flops(1, 16, training=False) == 6 * 4608 + 4 * 2304 + 4 * (2304 + 13824) + 512
    assert flops(1, 16) == 3 * 101888 - 4608
    assert flops(1, 32) == 4 * flops(1, 16)
    assert flops(1, 16, channels=4) == flops(1, 16) + 2 * 3 * 4608


def test_rows_are_merged_by_name_and_make_a_table():
    rows = importlib.import_module("benchmarks.rows")
    before = [rows.row("a", 1.0, "s"), rows.row("b", 2.0, "s")]
    merged = rows.merged(before, [rows.row("c", 4.0, "GB"), rows.row("a", 3.0, "s", other=2.0, against="b")])
    assert [(row["name"], row["value"], row["ratio"]) for row in merged] == [
        ("a", 3.0, 1.5),
        ("b", 2.0, None),
        ("c", 4.0, None),
    ]
    assert rows.table(merged).splitlines()[2:] == [
        "| a | 3 | s | 1.5 | b |",
        "| b | 2 | s | – | – |",
        "| c | 4 | GB | – | – |",
    ]


def test_only_what_is_asked_for_is_measured_and_the_rest_kept(benchmark, tmp_path, monkeypatch, capsys):
    rows = importlib.import_module("benchmarks.rows")
    for subject, value in (("augmentation", 5.0), ("store", 6.0)):
        module = importlib.import_module(f"benchmarks.{subject}")
        monkeypatch.setattr(module, "measure", lambda *_, s=subject, v=value: ([rows.row(f"{s}_x", v, "s")], {}))
        benchmark.run(benchmark.Config(str(tmp_path), subjects=(subject,)))
    read = importlib.import_module("rembrandt_featgen.core.rundir").read_json
    assert [row["name"] for row in read(tmp_path / "benchmark.json")] == ["augmentation_x", "store_x"]
    assert "| store_x | 6 | s |" in (tmp_path / "benchmark.md").read_text()
    assert list(read(tmp_path / "rounds.json")) == ["augmentation", "store"]


def test_long_subjects_are_measured_only_if_named(benchmark):
    assert set(benchmark.SUBJECTS) - set(benchmark.Config().subjects) == {"device", "paper"}


def test_an_unknown_subject_and_missing_peers_are_refused(benchmark, turns, tmp_path, monkeypatch):
    errors = importlib.import_module("rembrandt_featgen.core.errors")
    with pytest.raises(
        errors.InputError, match="--subjects=augmentation,speed: 'speed' is not known; take some of augmentation, unet"
    ):
        benchmark.run(benchmark.Config(str(tmp_path), subjects=("augmentation", "speed")))
    monkeypatch.setattr(turns, "PEERS_PYTHON", tmp_path / "python")
    with pytest.raises(errors.InputError, match="--peers needs .* tools/setup_peers creates it"):
        benchmark.run(benchmark.Config(str(tmp_path), peers=True))
