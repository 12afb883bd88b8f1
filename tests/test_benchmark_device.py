"""tools/benchmark --device: rows by hand, sides that fail, parts whose time is over, and PyTorch's sides by a fake."""

import contextlib
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest

TOOLS = Path(__file__).parent.parent / "tools"
TINY = {"feature_size": 4, "feature_channels": 2, "classifier_samples": 4, "classifier_batch": 2}
TINY |= {"classifier_filters": 2, "classifier_units": 2, "quick": True, "device": "cpu"}


@pytest.fixture(scope="module")
def modules():
    """benchmark, device, device_sides, device_processes and device_plan."""
    sys.path.insert(0, str(TOOLS))
    names = ("benchmark", *(f"benchmarks.device{part}" for part in ("", "_sides", "_processes", "_plan")))
    yield [importlib.import_module(name) for name in names]
    sys.path.remove(str(TOOLS))


@pytest.fixture
def fake_torch(monkeypatch, modules):
    """PyTorch for CUDA that sees a GPU, with a U-Net whose CUDA graphs fail in float16; what it was trained with."""
    trained = []

    def train(options):
        trained.append((options["precision"], options["setting"], options["device"]))
        if options["setting"].endswith("CUDA graphs") and options["precision"] == "float16":
            raise RuntimeError("no graph of\nthis")
        return types.SimpleNamespace(round=lambda: None)

    torch = types.ModuleType("torch")
    torch.cuda = types.SimpleNamespace(is_available=lambda: True, get_device_name=lambda: "a card")
    torch.__version__, torch.version = "9.1", types.SimpleNamespace(cuda="13.0")
    torch.memory_format, torch.channels_last = "format", "last"
    torch.nn, torch.amp = types.SimpleNamespace(Module=object), types.SimpleNamespace(GradScaler=object)
    unet = types.ModuleType("benchmarks.peers.unet")
    unet.train = train
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "benchmarks.peers.unet", unet)
    monkeypatch.delitem(sys.modules, "benchmarks.peers.network", raising=False)
    yield torch, trained
    sys.modules.pop("benchmarks.peers.network", None)


def test_rows_by_hand(modules):
    _, device, *_ = modules
    speed = {"float16 fit": 6.0, "float16 jit": 9.0, "float16 loop": 12.0, "float32 fit": 4.0}
    speed |= {"pytorch float16, channels_last": 3.0, "pytorch bfloat16, channels_last, CUDA graphs": 4.5}
    rows = {row["name"]: row for row in device.rows_of("unet", speed)}
    assert [row["value"] for row in rows.values()] == [*speed.values(), 9.0]
    assert rows["device_unet_float16_jit"]["ratio"] == 1.5 and rows["device_unet_float16_loop"]["ratio"] == 2.0
    assert rows["device_unet_float16_jit"]["against"] == "float16 fit"
    assert rows["device_unet_float32_fit"]["ratio"] is None
    assert rows["device_unet_pytorch_float16_channels_last"]["ratio"] is None
    best = rows["device_unet_vs_pytorch"]
    against = "pytorch bfloat16, channels_last, CUDA graphs; of ours float16 jit"
    assert (best["ratio"], best["against"], best["unit"]) == (2.0, against, "slices/s")
    assert device.rows_of("acgan", {}) == []
    assert [row["name"] for row in device.rows_of("acgan", {"float16 fit": 1.0}, "quick")] == [
        "quick_acgan_float16_fit"
    ]


def test_hours_are_summed_where_no_stage_is_missing(modules):
    _, device, _, _, plan = modules
    hours = {row.name: 0.5 for group in plan.groups("cuda") if group.part == "paper" for row in group.rows}
    hours["evaluate"] = 1.0  # comes with train_unet
    rows = {row["name"]: row["value"] for row in device.rows_of("paper", hours)}
    assert rows["device_paper_train_unet_hours"] == 0.5 and rows["device_paper_total_hours"] == 4.0
    del hours["train_classifiers"]
    assert "device_paper_total_hours" not in [row["name"] for row in device.rows_of("paper", hours)]


def test_feeding_stands_beside_what_networks_train(modules):
    _, device, *_ = modules
    fed = {"unet correct": 1000.0, "acgan float32": 96.0, "classifier float32": 7.0}
    trained = {
        "unet": {"float16 fit": 400.0, "float16 jit": 500.0, "float16 loop": 900.0},
        "acgan": {"float32 fit": 3.0},
    }
    rows = {row["name"]: row for row in device.feeding_rows({**trained, "feeding": fed}, 16)}
    unet, acgan = rows["device_feeding_unet_correct"], rows["device_feeding_acgan_float32"]
    assert (unet["ratio"], unet["against"], unet["unit"]) == (2.0, "unet float16 jit", "slices/s")
    assert (acgan["ratio"], acgan["against"]) == (2.0, "acgan float32 fit")
    assert rows["device_feeding_classifier_float32"]["ratio"] is None


def test_the_important_rows_fit_into_the_minutes(modules):
    benchmark, *_, plan = modules
    for device in ("cuda", "cpu"):
        rows = [row for group in plan.groups(device) for row in group.rows]
        extra = [row.extra for row in rows]
        assert extra == sorted(extra) and len(rows) == {"cuda": 66, "cpu": 57}[device]
        minutes = benchmark.Config("x").minutes * (1 if device == "cuda" else plan._OF_CPU)
        assert sum(row.seconds for row in rows if not row.extra) <= 60 * minutes
    assert not any(group.peer for group in plan.groups("cuda", peers=False))
    assert rows[0].name == "float32 fit" and not any("CUDA graphs" in row.name for row in rows)  # of a CPU


def test_a_row_has_its_own_time_and_its_share_of_what_others_left(modules):
    *_, plan = modules
    row, extra = plan.Row("a", 10.0), plan.Row("b", 40.0, extra=True)
    assert plan.limit(60.0, row, [row, row]) == 20.0  # each of three may take twice its time
    assert plan.limit(60.0, row, [row, row, extra]) == 20.0  # whose time the extra can't have
    assert plan.limit(15.0, row, [row, row]) == 10.0  # too little is left for all: those that come first have theirs
    assert plan.limit(4.0, row, []) == 4.0
    assert plan.limit(60.0, extra, [extra]) == 40.0


def test_quick_tries_all_at_small_sizes(modules, tmp_path):
    benchmark, device, *_ = modules
    config = device._small(benchmark.Config(str(tmp_path), quick=True, device="cpu", gan_filters=8))
    assert (config.image_size, config.gan_filters, config.widths, config.batch) == (32, 8, ("4",), 10)
    assert device.options(config, "unet", tmp_path)["width"] == 4
    paper = importlib.import_module("benchmarks.paper")
    given = device.options(config, "paper", tmp_path)
    flags = paper.check(given["flags"])
    assert (flags.image_size, flags.unet_width, flags.ngf, given["steps"]) == (32, 4, 16, 4)
    whole = benchmark.Config(str(tmp_path), device="gpu")
    flags = paper.check(device.options(whole, "paper", tmp_path)["flags"])
    assert (flags.image_size, flags.unet_width, flags.ngf, flags.precision) == (240, 64, 512, "float16")


def test_verdicts_by_hand(modules):
    _, device, *_ = modules
    speed = {"float16 fit": 6.0, "float16 loop": 12.0, "pytorch float16, channels_last": 5.0}
    assert device.verdict("unet", speed) == "unet: 1.2 of PyTorch's best, wanted 1: reached\n"
    assert device.verdict("acgan", speed) == "acgan: 1.2 of PyTorch's best, wanted 1.3: missed\n"
    assert "says nothing" in device.verdict("unet", speed, small=True)
    assert "no ratio" in device.verdict("unet", {"float16 fit": 6.0}) and "no ratio" in device.verdict("acgan", {})


def test_sides_are_measured_and_what_fails_is_said(modules, monkeypatch, tmp_path):
    benchmark, device, sides, *_ = modules
    classifier = importlib.import_module("benchmarks.classifier")
    train = classifier.train

    def fails_in_half(options):
        if options["precision"] == "float16":
            raise RuntimeError("no such kernel")
        return train(options)

    monkeypatch.setattr(classifier, "train", fails_in_half)
    config, answers = benchmark.Config(str(tmp_path), **TINY), []
    given = {**device.options(config, "classifier", tmp_path), "device": "cpu", "peer": False}
    sides.serve("classifier", given, ["float16 fit", "float32 fit"], lambda **answer: answers.append(answer))
    assert answers[0]["said"].startswith("runs on the CPU")
    assert answers[1] == {"row": "float16 fit", "said": "it failed (RuntimeError: no such kernel)"}
    assert answers[2]["row"] == "float32 fit" and answers[2]["values"]["float32 fit"] > 0 and not answers[3:]


def test_input_pipelines_and_extraction_are_measured(modules, tmp_path):
    benchmark, device, sides, *_ = modules
    config, answers = benchmark.Config(str(tmp_path), **TINY, image_size=32, widths=("1",), extract_slices=4), []
    for part, names in (("feeding", ["unet correct", "acgan float32"]), ("extraction", ["float32 bare"])):
        given = {**device.options(config, part, tmp_path), "device": "cpu", "peer": False}
        sides.serve(part, given, names, lambda **answer: answers.append(answer))
    found = {answer["row"]: answer["values"][answer["row"]] for answer in answers if "row" in answer}
    assert list(found) == ["unet correct", "acgan float32", "float32 bare"] and min(found.values()) > 0


def test_hours_of_stages_are_measured_one_by_one(modules, monkeypatch, tmp_path):
    benchmark, device, sides, *_ = modules
    paper, ran = importlib.import_module("benchmarks.paper"), []

    def side(name):
        def start(options):
            ran.append((name, *options.get("stages", ()), options["steps"]))
            names = {"prepare_slices": ["prepare_slices"], "train_unet": ["train_unet", "evaluate"]}.get(name)
            facts = {clock: {"seconds": [3.6]} for clock in names or options["stages"]}
            return types.SimpleNamespace(round=lambda: None, facts=facts)

        return start

    for name in ("prepare_slices", "train_unet", "some_stages"):
        monkeypatch.setattr(paper.paper_sides, name, side(name))
    given = device.options(benchmark.Config(str(tmp_path), device="cpu", paper_steps=7), "paper", tmp_path)
    answers = []
    names = ["prepare_slices", "train_unet", "extract_features"]
    sides.serve("paper", {**given, "peer": False}, names, lambda **answer: answers.append(answer))
    assert ran == [("prepare_slices", 7), ("train_unet", 7), ("some_stages", "extract_features", 7)]
    hours = {key: value for answer in answers for key, value in answer.get("values", {}).items()}
    # 5110 slices; 30 epochs of 404 batches of 4036; 51, 30 times, 404, 51 and 57 batches; 404, 51 and 57
    assert hours == pytest.approx(
        {"prepare_slices": 5.11, "train_unet": 12.12, "evaluate": 2.042, "extract_features": 0.512}
    )


def test_pytorch_is_measured_in_every_setting_and_what_fails_is_said(modules, fake_torch, tmp_path):
    benchmark, device, sides, _, plan = modules
    config, answers = benchmark.Config(str(tmp_path), **{**TINY, "device": "gpu"}), []
    given = {**device.options(config, "unet", tmp_path), "device": "cuda", "peer": True, "seconds": 0.0}
    names = [row.name for group in plan.groups("cuda") if group.title == "pytorch unet" for row in group.rows]
    sides.serve("unet", given, names, lambda **answer: answers.append(answer))
    eager, compiled, graphs = ("channels_last", "channels_last, compiled", "channels_last, CUDA graphs")
    precisions = ("float16", "bfloat16", "float32")
    tried = [(one, eager) for one in precisions] + [("float16", compiled), ("float16", graphs)]
    tried += [(one, way) for way in (compiled, graphs) for one in precisions[1:]]
    assert fake_torch[1] == [(*one, "cuda") for one in tried]
    assert names == [f"pytorch {precision}, {way}" for precision, way in tried]
    assert answers[0] == {"said": "PyTorch 9.1 on a card"}
    speeds = [answer["row"] for answer in answers if "values" in answer]
    assert speeds == [name for name in names if name != "pytorch float16, channels_last, CUDA graphs"]
    failure = "it failed (RuntimeError: no graph of this)"
    assert {"row": "pytorch float16, channels_last, CUDA graphs", "said": failure} in answers


def test_pytorch_that_sees_no_gpu_says_why(modules, fake_torch):
    torch, trained = fake_torch
    torch.cuda.is_available = lambda: False
    answers = []
    for torch.version.cuda in ("13.0", None):
        modules[2].serve("unet", {"device": "cuda", "peer": True}, ["a"], lambda **answer: answers.append(answer))
    assert "driver may be too old" in answers[0]["said"] and "is for CPUs alone" in answers[1]["said"]
    assert [answer["row"] for answer in answers] == ["a", "a"] and not trained


def test_of_cuda_networks_run_in_one_setting_that_is_named(modules, fake_torch):
    torch, _ = fake_torch
    torch.contiguous_format = "another"
    torch.set_num_threads = torch.manual_seed = lambda count: None
    torch.backends = types.SimpleNamespace(
        cuda=types.SimpleNamespace(matmul=types.SimpleNamespace()), cudnn=types.SimpleNamespace()
    )
    network = importlib.import_module("benchmarks.peers.network")
    assert list(network.prepare({"device": "cuda"})) == list(network.settings("cuda")) == list(modules[4].SETTINGS)
    assert {modules[4].EAGER, modules[4].COMPILED} < set(network.settings("cpu"))
    chosen = network.prepare({"device": "cuda", "setting": "channels_last, CUDA graphs"})
    assert chosen == {"channels_last, CUDA graphs": ("last", "reduce-overhead")}
    assert torch.backends.cudnn.benchmark and torch.backends.cudnn.allow_tf32


def test_a_part_that_fails_and_pytorch_that_is_missing_lose_nothing_else(modules, monkeypatch, tmp_path, capsys):
    benchmark, device, _, processes, _ = modules
    asked = []

    def measure(started, arguments, rows, *, later, until):
        part, given = arguments[2], json.loads(arguments[3])
        asked.append(("pytorch " * given["peer"] + part, [row.name for row in rows], len(later)))
        value = {"classifier": 8.0, "pytorch classifier": 2.0}.get(asked[-1][0])
        names = [row.name for row in rows]
        if value is None or rows[0].extra:
            return processes.Outcome({}, {}, dict.fromkeys(names, "out of memory"), ["a remark"])
        return processes.Outcome(dict.fromkeys(names, value), dict.fromkeys(names, 1.5), {}, [])

    monkeypatch.setattr(processes, "measure", measure)
    monkeypatch.setattr(processes, "peer", processes.ours)
    rows, taken = device.measure(benchmark.Config(str(tmp_path), **TINY), peers=True)
    assert asked[0] == ("unet", ["float32 fit", "bfloat16 fit", "float16 fit"], 54)
    assert asked[-1][2] == 0 and "pytorch acgan" in [title for title, *_ in asked]
    assert [row["name"] for row in rows][-1] == "quick_classifier_vs_pytorch" and rows[-1]["ratio"] == 4.0
    said = capsys.readouterr().out
    assert "  classifier, 4 s: float32 fit 8 samples/s, bfloat16 fit 8 samples/s" in said and "; a remark" in said
    assert "left out: unet: float32 fit; bfloat16 fit; float16 fit; float32 jit;" in said
    assert "left out: pytorch acgan: float32, channels_last; " in said and ": out of memory\n" in said
    assert taken["classifier"].seconds["float32 fit"] == 1.5 and "float32 jit" in taken["classifier"].missing
    monkeypatch.setattr(processes, "peer", lambda device: None)
    rows, _ = device.measure(benchmark.Config(str(tmp_path), **TINY), peers=True)
    assert [row["name"] for row in rows] == [
        f"quick_classifier_{one}_fit" for one in ("float32", "bfloat16", "float16")
    ]
    assert "pytorch: left out" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_pytorch_of_another_machine_runs_in_this_python_without_tensorflows_cuda(modules, monkeypatch, tmp_path):
    *_, processes, _ = modules
    with_cuda, driver = tmp_path / "cuda", tmp_path / "driver"
    for library in (with_cuda / "libcusparse.so.12", driver / "libcuda.so.1", driver / "libpython3.11.so.1.0"):
        library.parent.mkdir(exist_ok=True)
        library.touch()
    monkeypatch.setenv("LD_LIBRARY_PATH", f"{with_cuda}:{driver}")
    monkeypatch.setenv("PYTHONHOME", "/bundle")
    python = tmp_path / ".venv-peers" / "bin" / "python"
    monkeypatch.setattr(processes.turns, "PEERS_PYTHON", python)
    assert processes.peer("cuda") is None
    packages = tmp_path / ".venv-peers" / "lib" / f"python3.{sys.version_info[1]}" / "site-packages"
    packages.mkdir(parents=True)
    python.parent.mkdir()
    python.symlink_to("/usr/bin/is_not_there")
    found = processes.peer("cuda")
    assert found.python == sys.executable and found.environment["PYTHONPATH"] == f"{TOOLS}:{packages}"
    assert found.environment["LD_LIBRARY_PATH"] == str(driver) and found.environment["PYTHONHOME"] == "/bundle"
    assert processes.peer("cpu").environment["OMP_WAIT_POLICY"] == "passive"
    python.unlink()
    python.touch()
    found = processes.peer("cuda")
    assert found.python == str(python) and found.environment["PYTHONPATH"] == str(TOOLS)
    assert "PYTHONHOME" not in found.environment and os.environ["PYTHONHOME"] == "/bundle"


def test_what_cuda_compiles_is_kept_where_it_can_be_and_xla_compiles_on_cpus(modules, monkeypatch):
    *_, processes, _ = modules
    monkeypatch.delenv("CUDA_CACHE_PATH", raising=False)
    monkeypatch.setenv("TF_XLA_FLAGS", "--a")
    monkeypatch.setattr(processes.os, "access", lambda path, mode: True)
    assert "CUDA_CACHE_PATH" not in processes.ours("cuda").environment
    assert processes.ours("cuda").environment["TF_XLA_FLAGS"] == "--a"
    assert processes.ours("cpu").environment["TF_XLA_FLAGS"] == "--a --tf_xla_cpu_global_jit"
    monkeypatch.setattr(processes.os, "access", lambda path, mode: False)
    assert processes.ours("cuda").environment["CUDA_CACHE_PATH"].endswith("cuda_cache")


SAYS = """
import json, os, signal, subprocess, sys
names = json.loads(sys.argv[2])
def says(**answer):
    print(json.dumps(answer), flush=True)
if names[0] != "d":
    child = subprocess.Popen(["sleep", "60"])
    open(sys.argv[1], "a").write(f"{child.pid}\\n")
    says(row="a", values={"a": 3.0})
    print("E: layout failed: of a test", file=sys.stderr, flush=True)
    says(row="b", said="no such kernel")
    print('{"row": "c", ', end="", flush=True)
    HOW
says(row="d", values={"d": len(names)})
"""


@pytest.mark.parametrize(
    "how, seconds, remark",
    [
        ("raise SystemExit('out of memory')", 60, "its process ended (1): E: layout failed: of a test\nout of memory"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", 60, "its process ended (-11)"),
        ("child.wait()", 2, "its 2 s were over"),
    ],
)
def test_what_ends_one_row_costs_no_other(modules, tmp_path, how, seconds, remark):
    *_, processes, plan = modules
    arguments = ["-c", SAYS.replace("HOW", how), str(tmp_path / "pids")]
    rows = [plan.Row(name, seconds if name == "c" else 60.0) for name in "abcd"]
    python, later = processes.Started(sys.executable, {}), [plan.Row("e", 900.0)]  # which leaves each its own
    found = processes.measure(python, arguments, rows, later=later, until=time.monotonic() + 300.0)
    assert found.values == {"a": 3.0, "d": 1} and list(found.seconds) == ["a", "d"]  # by another process
    assert list(found.missing) == ["b", "c"] and found.missing["b"] == "no such kernel"
    assert found.missing["c"].startswith(remark) and found.remarks == ["E: layout failed: of a test"]
    for pid in (tmp_path / "pids").read_text().split():
        ended(int(pid))


def test_rows_that_nothing_answers_for_are_missing(modules):
    *_, processes, plan = modules
    rows, until = [plan.Row("a", 9.0), plan.Row("b", 9.0)], time.monotonic() + 60.0
    nowhere, python = processes.Started("/usr/bin/is_not_there", {}), processes.Started(sys.executable, {})
    found = processes.measure(nowhere, [], rows, later=[], until=until)
    assert found.missing == dict.fromkeys("ab", "/usr/bin/is_not_there cannot be run")
    found = processes.measure(python, ["-c", "raise SystemExit('no module')"], rows, later=[], until=until)
    assert found.missing == dict.fromkeys("ab", "its process ended (1): no module\n")
    found = processes.measure(python, ["-c", "1 / 0"], rows, later=[], until=time.monotonic() + 1.0)
    assert found.missing == dict.fromkeys("ab", "for want of time (--minutes)")


@pytest.mark.parametrize(
    "flags, done",
    [
        (["--device=gpu", "--peers"], True),
        (["--device=gpu:1"], True),
        (["--peers"], False),
        (["--subjects=unet"], True),
    ],
)
def test_where_peers_cannot_be_installed_a_gpu_is_measured_all_the_same(tmp_path, flags, done):
    said = {"tools/setup_venv": "", "tools/setup_peers": "echo peers $1; exit 1", ".venv/bin/python": 'echo did "$@"'}
    for name, line in said.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)
    shutil.copy(TOOLS / "benchmark", tmp_path / "tools")
    found = subprocess.run([tmp_path / "tools" / "benchmark", *flags], capture_output=True, text=True)
    assert (found.returncode == 0) == done and ("did tools/benchmark.py" in found.stdout) == done
    assert ("peers gpu" in found.stdout) == ("--peers" in flags and "--device=gpu" in flags)


def test_a_side_ends_with_what_started_it(tmp_path):
    code = "from benchmarks import turns; turns.take_turns({'a': turns.Side('tests.benchmark_sides:sleeper', "
    code += f"{{'file': {str(tmp_path / 'pid')!r}}})}}, 1)"
    environment = {**os.environ, "PYTHONPATH": f"{TOOLS}:{TOOLS.parent}"}
    with subprocess.Popen([sys.executable, "-c", code], env=environment) as process:
        for _ in range(600):
            if (tmp_path / "pid").is_file():
                break
            time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
    ended(int((tmp_path / "pid").read_text()))


def ended(pid: int):
    """Waits until a process is no more, but for its entry in the table of an init that does not look."""
    for _ in range(100):
        with contextlib.suppress(FileNotFoundError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                time.sleep(0.1)
                continue
        return
    raise AssertionError(f"{pid} is still there")


def test_rounds_per_second_are_of_the_median_and_without_the_first(modules, monkeypatch):
    times, calls = iter([10.0, 11.0, 11.0, 13.0, 13.0, 18.0]), []
    monkeypatch.setattr(modules[2].time, "perf_counter", lambda: next(times))
    assert modules[2].rounds_per_second(lambda: calls.append(1), seconds=3.0) == 0.5  # 1, 2 and 5 seconds
    assert len(calls) == 4
