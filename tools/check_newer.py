"""Says what a newer TensorFlow would break: tries imports and some fast tests in a throwaway virtual environment.

tools/check_newer.py [--folder=DIR] [--python=python3.12] [--tensorflow=2.21.0] [--keep]

To be run now and then, such as once a week; nothing of .venv or of this folder changes. Everything is taken in its
newest version, but for TensorLayer and TensorFlow Addons, which have none. Keras is tried as Keras 3, which comes with
TensorFlow, and as tf-keras (Keras 2). Ends with status 1 where something breaks.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Newest with what they need; then those that ask for a TensorFlow of before, without it.
PACKAGES = [
    "tf-keras",
    "tensorboard",
    "nibabel",
    "scipy",
    "scikit-learn",
    "scikit-image",
    "SimpleITK",
    "numcodecs",
    "imbalanced-learn",
    "pandas",
    "pyarrow",
    "matplotlib",
    "opencv-python-headless",
    "threadpoolctl",
    "tqdm",
    "jinja2",
    "pytest",
    "hypothesis",
    "setuptools<81",
    "typeguard<3",
    "progressbar2",
    "cloudpickle",
    "requests",
    "dm-tree",
    "decorator",
    "deprecated",
    "imageio",
    "dask",
    "distributed",
]
ALONE = ["tensorflow-probability", "tf-keras-vis", "tensorlayer", "tensorflow-addons", "prdc"]
TESTS = [
    "tests/nn",
    "tests/measures/test_classification.py",
    "tests/data/test_store.py",
    "tests/features/test_tables.py",
    "tests/segmentation/test_unet.py",
    "tests/classification/test_map_networks.py",
    "tests/generation/test_gan_networks.py",
    "tests/generation/test_smote.py",
]
MODES: Mapping[str, Mapping[str, str]] = {"Keras 3": {}, "tf-keras": {"TF_USE_LEGACY_KERAS": "1"}}
_IMPORTS = """
import importlib, json, pkgutil, sys
import rembrandt_featgen
failed, names = {}, [one.name for one in pkgutil.walk_packages(rembrandt_featgen.__path__, "rembrandt_featgen.")]
for name in names:
    try:
        importlib.import_module(name)
    except BaseException as error:
        failed[name] = f"{type(error).__name__}: {error}"
print(json.dumps({"modules": len(names), "failed": failed}))
"""
_VERSIONS = """
import importlib.metadata as m, json, sys
names = ("tensorflow", "keras", "tf-keras", "numpy", "pandas", "scikit-learn", "tensorlayer", "tensorflow-addons")
print(json.dumps({"python": sys.version.split()[0], **{name: m.version(name) for name in names}}))
"""


def make(folder: Path, python: str, tensorflow: str) -> Path:
    """Makes the environment, and returns its Python."""
    subprocess.run([python, "-m", "venv", "--clear", str(folder)], check=True)
    made = folder / "bin" / "python"
    install = [str(made), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-cache-dir"]
    newest = f"tensorflow=={tensorflow}" if tensorflow else "tensorflow"
    subprocess.run([*install, "--only-binary=:all:", newest, *PACKAGES], check=True)
    subprocess.run([*install, "--no-deps", *ALONE], check=True)
    return made


def imports(python: Path, environment: Mapping[str, str]) -> dict:
    """Number of modules of the package, and the error of each that cannot be imported."""
    done = _run([python, "-c", _IMPORTS], environment, 900)
    try:
        return json.loads(done.splitlines()[-1])
    except (ValueError, IndexError):
        return {"modules": 0, "failed": {"the interpreter": done.strip().splitlines()[-1] if done.strip() else "died"}}


def tests(python: Path, environment: Mapping[str, str]) -> list[str]:
    """What pytest says of the fast tests: its line of counts, and failures by what they say."""
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--tb=line", *TESTS]
    lines = _run([*command, "--continue-on-collection-errors"], environment, 3600).splitlines()
    said = [match[1] for line in lines if (match := re.match(r"(?:E\s+|\S+:\d+: )(\w*(?:Error|Exception)\b.*)", line))]
    counts = [line for line in lines if re.search(r"\d+ (passed|failed|error)", line)]
    return [*counts[-1:], *grouped(said)]


def grouped(errors: Sequence[str]) -> list[str]:
    """Errors, each once with how often it came, the most frequent first."""
    short = [" ".join(one.split())[:180] for one in errors]
    return [f"{count} x {text}" for text, count in collections.Counter(short).most_common(12)]


def _run(command: Sequence, environment: Mapping[str, str], seconds: int) -> str:
    around = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "TF_"))}
    around |= {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "TF_CPP_MIN_LOG_LEVEL": "3", **environment}
    try:
        done = subprocess.run(command, cwd=ROOT, env=around, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return f"RuntimeError: not done in {seconds} s"
    return done.stdout or done.stderr


def main(arguments: Sequence[str]) -> int:
    """Prints what breaks in each mode; 1 if something does."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", default="", help="where the environment is made, some 3 GB; a temporary one")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--tensorflow", default="", help="version; the newest")
    parser.add_argument("--keep", action="store_true", help="leave the environment, and take it where it is there")
    given = parser.parse_args(arguments)
    folder = Path(given.folder or tempfile.mkdtemp(prefix="check_newer_"))
    broken = False
    try:
        made = folder / "bin" / "python"
        if not (given.keep and made.exists()):
            made = make(folder, given.python, given.tensorflow)
        print(_run([made, "-c", _VERSIONS], {}, 300).strip())
        for mode, environment in MODES.items():
            found = imports(made, environment)
            failed = found["failed"]
            print(f"{mode}: {len(failed)} of {found['modules']} modules do not import")
            for line in grouped(list(failed.values())):
                print(f"  {line}")
            for line in tests(made, environment):
                print(f"  tests: {line}")
                broken |= "failed" in line or "error" in line
            broken |= bool(failed)
    finally:
        if not given.keep:
            shutil.rmtree(folder, ignore_errors=True)
    return int(broken)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
