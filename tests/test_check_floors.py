import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "tools" / "check_floors.py"

spec = importlib.util.spec_from_file_location("check_floors", SCRIPT)
check_floors = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check_floors)

# A house of every floor in which all imports point down.
HOUSE = {
    "__init__.py": "",
    "cli.py": "import dataclasses\n\nfrom absl import flags\n",
    "errors.py": "",
    "geometry.py": "import numpy as np\n",
    "metrics/segmentation.py": "from rembrandt_featgen import errors\n",
    "models/__init__.py": "",
    "models/precision.py": "import tensorflow as tf\n",
    "models/unet.py": "import tensorlayer as tl\n\nfrom rembrandt_featgen.models import precision as precisions\n",
    "models/gan_networks.py": "import tensorflow_addons as tfa\n",
    "cohort/nifti.py": "import nibabel\n\nfrom rembrandt_featgen.errors import InputError\n",
    "training/loops.py": "from rembrandt_featgen.models import unet\n",
    "stages/__init__.py": "def all_flags(): ...\n",
    "stages/fields.py": "from rembrandt_featgen import cli\n",
    "stages/extract.py": "from rembrandt_featgen import stages\nfrom rembrandt_featgen.stages import fields\n",
    "stages/generate.py": "from rembrandt_featgen.training import loops\n",
    "stages/pipeline.py": "from rembrandt_featgen.stages import extract, generate\n",
}


@pytest.fixture
def house(tmp_path):
    """Builds the synthetic package with some files changed, and gives its folder."""

    def build(**changes):
        for name, text in {**HOUSE, **changes}.items():
            path = tmp_path / check_floors.PACKAGE / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path / check_floors.PACKAGE

    return build


def test_house_in_order_has_no_faults(house):
    assert list(check_floors.faults(house())) == []


@pytest.mark.parametrize(
    ("file", "text", "fault"),
    [
        # up
        (
            "models/unet.py",
            "import numpy\nfrom rembrandt_featgen.training import loops\n",
            ":2: models.unet (floor 2) imports training.loops (floor 3)",
        ),
        (
            "models/precision.py",
            "from rembrandt_featgen.models import unet\n",
            ":1: models.precision (floor 1) imports models.unet (floor 2)",
        ),
        ("errors.py", "import rembrandt_featgen.geometry\n", ":1: errors (floor 0) imports geometry (floor 1)"),
        (
            "training/loops.py",
            "def late():\n    from rembrandt_featgen.stages.extract import run\n",
            ":2: training.loops (floor 3) imports stages.extract (floor 4)",
        ),
        # sideways
        (
            "stages/generate.py",
            "from rembrandt_featgen.stages import extract\n",
            ":1: stages.generate (floor 4) imports stages.extract (floor 4)",
        ),
        (
            "cohort/nifti.py",
            "from rembrandt_featgen.models.gan_networks import CLASSES\n",
            ":1: cohort.nifti (floor 2) imports models.gan_networks (floor 2)",
        ),
        # packages of one module
        ("training/loops.py", "import tensorlayer as tl\n", ":1: tensorlayer is imported outside models.unet"),
        (
            "models/gan_networks.py",
            "from tensorlayer.layers import Conv2d\n",
            ":1: tensorlayer is imported outside models.unet",
        ),
        (
            "models/unet.py",
            "import tensorflow_addons\n",
            ":1: tensorflow_addons is imported outside models.gan_networks",
        ),
        ("stages/extract.py", "from absl import flags\n", ":1: absl.flags is imported outside cli"),
        ("stages/extract.py", "import nibabel.nifti1 as n\n", ":1: nibabel is imported outside cohort.nifti"),
    ],
)
def test_each_fault_is_one_line(house, file, text, fault):
    root = house(**{file: text})
    (found,) = check_floors.faults(root)
    assert found.startswith(f"{root / file}{fault}")


@pytest.mark.parametrize("text", ["from absl import app, logging\n", "import tensorlayerx\n", "import absl\n"])
def test_packages_of_like_names_are_free(house, text):
    assert list(check_floors.faults(house(**{"training/loops.py": text}))) == []


def test_script_prints_every_fault_and_fails(house):
    sideways = "from rembrandt_featgen.stages import extract\n"
    root = house(**{"stages/generate.py": sideways, "geometry.py": "import tensorlayer\n"})
    done = subprocess.run([sys.executable, SCRIPT, root], capture_output=True, text=True)
    assert done.returncode == 1
    first, second = done.stdout.splitlines()
    assert "geometry.py:1: tensorlayer is imported outside" in first
    assert "stages/generate.py:1: stages.generate (floor 4) imports stages.extract" in second


def test_real_package_has_no_faults():
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "floors: every import points down\n"), done.stdout
