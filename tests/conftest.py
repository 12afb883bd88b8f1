import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

# So that no worker waits for a long file at the end.
_LONG_FIRST = ("test_pipeline.py", "test_selfcheck.py", "test_benchmark.py", "stages", "segmentation", "generation")


def pytest_collection_modifyitems(items):
    """Sorts the files that take long to the front."""

    def rank(item):
        parts = item.path.parts
        return next((number for number, name in enumerate(_LONG_FIRST) if name in parts), len(_LONG_FIRST))

    items.sort(key=rank)
