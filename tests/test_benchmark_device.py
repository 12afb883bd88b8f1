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
    """benchmark, device, device_sides and device_processes."""
    sys.path.insert(0, str(TOOLS))
    names = ("benchmark", "benchmarks.device", "benchmarks.device_sides", "benchmarks.device_processes")
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


def test_verdicts_by_hand(modules):
    _, device, *_ = modules
    speed = {"float16 fit": 6.0, "float16 loop": 12.0, "pytorch float16, channels_last": 5.0}
    assert device.verdict("unet", speed) == "unet: 1.2 of PyTorch's best, wanted 1: reached\n"
    assert device.verdict("acgan", speed) == "acgan: 1.2 of PyTorch's best, wanted 1.3: missed\n"
    assert "no ratio" in device.verdict("unet", {"float16 fit": 6.0}) and "no ratio" in device.verdict("acgan", {})
    assert device.verdict("classifier", speed) == ""


def test_sides_are_measured_and_what_fails_is_said(modules, monkeypatch, tmp_path):
    benchmark, device, sides, _ = modules
    classifier = importlib.import_module("benchmarks.classifier")
    train = classifier.train

    def fails_in_half(options):
        if options["precision"] == "float16":
            raise RuntimeError("no such kernel")
        return train(options)

    monkeypatch.setattr(classifier, "train", fails_in_half)
    monkeypatch.setattr(sides, "PRECISIONS", ("float32", "float16"))
    monkeypatch.setattr(sides, "_WAYS", {"classifier": {"fit": "train"}})
    config, answers = benchmark.Config(str(tmp_path), **TINY), []
    given = {**device.options(config, "classifier"), "device_flag": "cpu", "peer": False}
    sides.serve("classifier", given, lambda **answer: answers.append(answer))
    assert answers[0]["said"].startswith("runs on the CPU")
    assert answers[1] == {"said": "float16 fit failed (RuntimeError: no such kernel)"}
    assert answers[2]["speed"]["float32 fit"] > 0 and answers[3:] == [{"done": True}]


def test_pytorch_is_measured_in_every_setting_and_what_fails_is_said(modules, fake_torch, tmp_path):
    benchmark, device, sides, _ = modules
    config, answers = benchmark.Config(str(tmp_path), **{**TINY, "device": "gpu"}), []
    given = {**device.options(config, "unet"), "device_flag": "gpu", "peer": True, "seconds": 0.0}
    sides.serve("unet", given, lambda **answer: answers.append(answer))
    settings = ("channels_last", "channels_last, compiled", "channels_last, CUDA graphs")
    tried = [(precision, setting) for setting in settings for precision in ("float16", "bfloat16", "float32")]
    assert fake_torch[1] == [(*one, "cuda") for one in tried]  # eagerly in all precisions before any is compiled
    assert answers[0] == {"said": "PyTorch 9.1 on a card"} and answers[-1] == {"done": True}
    speeds = [name for answer in answers for name in answer.get("speed", {})]
    assert speeds == [f"pytorch {precision}, {one}" for precision, one in tried if (precision, one) != tried[6]]
    failure = "pytorch float16, channels_last, CUDA graphs failed (RuntimeError: no graph of this)"
    assert {"said": failure} in answers


def test_pytorch_that_sees_no_gpu_says_why(modules, fake_torch):
    torch, trained = fake_torch
    torch.cuda.is_available = lambda: False
    answers = []
    for torch.version.cuda in ("13.0", None):
        modules[2].serve("unet", {"device": "cuda", "peer": True}, lambda **answer: answers.append(answer))
    assert "driver may be too old" in answers[0]["said"] and "is for CPUs alone" in answers[2]["said"]
    assert answers[1] == answers[3] == {"done": True} and not trained


def test_of_cuda_networks_run_in_one_setting_that_is_named(modules, fake_torch):
    torch, _ = fake_torch
    torch.set_num_threads = torch.manual_seed = lambda count: None
    torch.backends = types.SimpleNamespace(
        cuda=types.SimpleNamespace(matmul=types.SimpleNamespace()), cudnn=types.SimpleNamespace()
    )
    network = importlib.import_module("benchmarks.peers.network")
    assert list(network.prepare({"device": "cuda"})) == list(network.settings("cuda"))
    chosen = network.prepare({"device": "cuda", "setting": "channels_last, CUDA graphs"})
    assert chosen == {"channels_last, CUDA graphs": ("last", "reduce-overhead")}
    assert torch.backends.cudnn.benchmark and torch.backends.cudnn.allow_tf32


def test_a_part_that_fails_and_pytorch_that_is_missing_lose_nothing_else(modules, monkeypatch, tmp_path, capsys):
    benchmark, device, _, processes = modules
    asked = []

    def speeds(command):
        asked.append((command.title, json.loads(command.arguments[-1])["peer"]))
        return {"classifier": {"float16 fit": 8.0}, "pytorch classifier": {"pytorch float16, x": 2.0}}.get(
            command.title, {}
        )

    monkeypatch.setattr(processes, "speeds", speeds)
    monkeypatch.setattr(device, "_paper", lambda config, folder, until: [])
    monkeypatch.setattr(processes, "peer", processes.ours)
    rows, _ = device.measure(benchmark.Config(str(tmp_path), **TINY), peers=True)
    assert [title for title, peer in asked if peer] == ["pytorch unet", "pytorch acgan", "pytorch classifier"]
    assert [row["name"] for row in rows][-1] == "device_classifier_vs_pytorch" and rows[-1]["ratio"] == 4.0
    assert "device_classifier_float16_fit" in capsys.readouterr().out  # at once, and not at the end alone
    monkeypatch.setattr(processes, "peer", lambda: None)
    rows, _ = device.measure(benchmark.Config(str(tmp_path), **TINY), peers=True)
    assert [row["name"] for row in rows] == ["device_classifier_float16_fit"]
    assert "pytorch: left out" in capsys.readouterr().out


def test_pytorch_of_another_machine_runs_in_this_python_without_tensorflows_cuda(modules, monkeypatch, tmp_path):
    *_, processes = modules
    with_cuda, driver = tmp_path / "cuda", tmp_path / "driver"
    for library in (with_cuda / "libcusparse.so.12", driver / "libcuda.so.1", driver / "libpython3.11.so.1.0"):
        library.parent.mkdir(exist_ok=True)
        library.touch()
    monkeypatch.setenv("LD_LIBRARY_PATH", f"{with_cuda}:{driver}")
    monkeypatch.setenv("PYTHONHOME", "/bundle")
    python = tmp_path / ".venv-peers" / "bin" / "python"
    monkeypatch.setattr(processes.turns, "PEERS_PYTHON", python)
    assert processes.peer() is None
    packages = tmp_path / ".venv-peers" / "lib" / f"python3.{sys.version_info[1]}" / "site-packages"
    packages.mkdir(parents=True)
    python.parent.mkdir()
    python.symlink_to("/usr/bin/is_not_there")
    found = processes.peer()
    assert found.python == sys.executable and found.environment["PYTHONPATH"] == f"{TOOLS}:{packages}"
    assert found.environment["LD_LIBRARY_PATH"] == str(driver) and found.environment["PYTHONHOME"] == "/bundle"
    python.unlink()
    python.touch()
    found = processes.peer()
    assert found.python == str(python) and found.environment["PYTHONPATH"] == str(TOOLS)
    assert "PYTHONHOME" not in found.environment and os.environ["PYTHONHOME"] == "/bundle"


def test_what_cuda_compiles_is_kept_where_it_can_be(modules, monkeypatch):
    *_, processes = modules
    monkeypatch.delenv("CUDA_CACHE_PATH", raising=False)
    monkeypatch.setattr(processes.os, "access", lambda path, mode: True)
    assert "CUDA_CACHE_PATH" not in processes.ours().environment
    monkeypatch.setattr(processes.os, "access", lambda path, mode: False)
    assert processes.ours().environment["CUDA_CACHE_PATH"].endswith("cuda_cache")


SAYS = """
import json, os, signal, subprocess, sys
child = subprocess.Popen(["sleep", "60"])
open(sys.argv[1], "w").write(str(child.pid))
print(json.dumps({"speed": {"float16 fit": 3.0}}), flush=True)
print("E: layout failed: of a test", file=sys.stderr, flush=True)
print('{"speed": {"float16 j', end="", flush=True)
"""


@pytest.mark.parametrize(
    "how, remark",
    [
        ("raise SystemExit('out of memory')", "it failed (1): E: layout failed: of a test\nout of memory"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "it failed (-11)"),
        ("child.wait()", "its time was over"),
    ],
)
def test_what_was_measured_counts_however_a_process_ends(modules, tmp_path, capsys, how, remark):
    *_, processes = modules
    arguments = ["-c", SAYS + how, str(tmp_path / "pid")]
    command = processes.Command("unet", processes.ours(), arguments, until=time.monotonic() + 4.0)
    assert processes.speeds(command) == {"float16 fit": 3.0}
    said = capsys.readouterr().out
    assert said.startswith("  unet: 1 speeds; ") and remark in said and "; E: layout failed: of a test" in said
    ended(int((tmp_path / "pid").read_text()))


def test_a_side_that_cannot_start_is_said(modules, capsys):
    *_, processes = modules
    started = processes.Started("/usr/bin/is_not_there", {})
    assert processes.speeds(processes.Command("pytorch unet", started, [], until=0.0)) == {}
    assert "No such file" in capsys.readouterr().out


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
