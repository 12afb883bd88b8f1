import os

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# So that no worker waits for a long file at the end.
_LONG_FIRST = (
    "test_pipeline.py",
    "test_selfcheck.py",
    "test_benchmark.py",
    "stages",
    "estimates",
    "segmentation",
    "generation",
)


def pytest_configure(config):
    """Hides GPUs from tests, but for `pytest -m gpu`: the others hold values of CPUs. No test file is imported yet."""
    if config.getoption("-m") != "gpu":
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")


def pytest_runtest_setup(item):
    """Skips tests marked gpu where there is none."""
    if item.get_closest_marker("gpu"):
        import tensorflow as tf

        if not tf.config.list_physical_devices("GPU") and "TRY_GPU_TESTS_ON_CPU" not in os.environ:
            pytest.skip("no GPU is visible; where there is one: pytest -m gpu")


def pytest_collection_modifyitems(items):
    """Sorts the files that take long to the front."""

    def rank(item):
        parts = item.path.parts
        return next((number for number, name in enumerate(_LONG_FIRST) if name in parts), len(_LONG_FIRST))

    items.sort(key=rank)


@pytest.fixture
def eager_gans(monkeypatch):
    """GANs that are trained in memory run step by step: to trace a graph takes longer than a few steps."""
    from rembrandt_featgen.generation import gan_training

    compiled = gan_training.compiled

    def eager(*args, **settings):
        gan = compiled(*args, **settings)
        gan.run_eagerly = True
        return gan

    monkeypatch.setattr(gan_training, "compiled", eager)
    monkeypatch.setattr(gan_training, "STEPS_PER_EXECUTION", 1)
