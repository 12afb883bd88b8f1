"""tools/benchmark --device: rows by hand, sides that fail, and parts whose time is over."""

import importlib
import sys
import time
from pathlib import Path

import pytest

TOOLS = Path(__file__).parent.parent / "tools"
TINY = {"feature_size": 4, "feature_channels": 2, "classifier_samples": 4, "classifier_batch": 2}
TINY |= {"classifier_filters": 2, "classifier_units": 2, "quick": True, "device": "cpu"}


@pytest.fixture(scope="module")
def modules():
    """benchmark, device and device_sides."""
    sys.path.insert(0, str(TOOLS))
    yield [importlib.import_module(name) for name in ("benchmark", "benchmarks.device", "benchmarks.device_sides")]
    sys.path.remove(str(TOOLS))


def test_rows_by_hand(modules):
    _, device, _ = modules
    speed = {"float16 fit": 6.0, "float16 jit": 9.0, "float16 loop": 12.0, "float32 fit": 4.0}
    speed |= {"pytorch float16": 3.0, "pytorch bfloat16": 4.5}
    rows = {row["name"]: row for row in device.rows_of("unet", speed)}
    assert [row["value"] for row in rows.values()] == [*speed.values(), 9.0]
    assert rows["device_unet_float16_jit"]["ratio"] == 1.5 and rows["device_unet_float16_loop"]["ratio"] == 2.0
    assert rows["device_unet_float16_jit"]["against"] == "float16 fit"
    assert rows["device_unet_float32_fit"]["ratio"] is None and rows["device_unet_pytorch_float16"]["ratio"] is None
    best = rows["device_unet_vs_pytorch"]
    assert (best["ratio"], best["against"], best["unit"]) == (2.0, "pytorch bfloat16, of ours float16 jit", "slices/s")
    assert device.rows_of("acgan", {}) == []


def test_sides_are_measured_and_what_fails_is_said(modules, monkeypatch, tmp_path):
    benchmark, device, sides = modules
    classifier = importlib.import_module("benchmarks.classifier")
    train = classifier.train

    def fails_in_half(options):
        if options["precision"] == "float16":
            raise RuntimeError("no such kernel")
        return train(options)

    monkeypatch.setattr(classifier, "train", fails_in_half)
    monkeypatch.setattr(sides, "PRECISIONS", ("float16", "float32"))
    monkeypatch.setattr(sides, "_WAYS", {"classifier": {"fit": "train"}})
    config, answers = benchmark.Config(str(tmp_path), **TINY), []
    given = {**device.options(config, "classifier"), "device_flag": "cpu", "peer": False}
    sides.serve("classifier", given, lambda **answer: answers.append(answer))
    assert answers[0]["said"].startswith("runs on the CPU")
    assert answers[1] == {"said": "float16 fit failed (RuntimeError: no such kernel)"}
    assert answers[2]["speed"]["float32 fit"] > 0 and len(answers) == 3


def test_rounds_per_second_are_of_the_median_and_without_the_first(modules, monkeypatch):
    times, calls = iter([10.0, 11.0, 11.0, 13.0, 13.0, 18.0]), []
    monkeypatch.setattr(modules[2].time, "perf_counter", lambda: next(times))
    assert modules[2].rounds_per_second(lambda: calls.append(1), seconds=3.0) == 0.5  # 1, 2 and 5 seconds
    assert len(calls) == 4


def test_a_part_whose_time_is_over_is_ended_and_said(modules, tmp_path, capsys):
    benchmark, device, _ = modules
    config = benchmark.Config(str(tmp_path), **TINY)
    start = time.monotonic()
    found = device._part(config, "classifier", python=sys.executable, until=start, folder=str(tmp_path))
    assert found == {} and time.monotonic() - start < 30
    assert "classifier: 0 speeds; its time was over, the rest is left out (--minutes)" in capsys.readouterr().out
