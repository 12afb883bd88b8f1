"""tools/check_floors.py: every rule with a house that breaks it."""

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

# A house with a file in each room, in which every import keeps the rules.
HOUSE = {
    "__init__.py": "",
    "core/cli.py": "import dataclasses\n\nfrom absl import flags\n",
    "core/errors.py": "",
    "measures/overlap.py": "import numpy as np\n\nfrom rembrandt_featgen.core import errors\n",
    "cohort/nifti_files.py": "import nibabel as nib\n\nfrom rembrandt_featgen.core.errors import InputError\n",
    "data/store.py": "from rembrandt_featgen.cohort import nifti_files\n",
    "nn/__init__.py": "",
    "nn/mixed_precision.py": "import tensorflow as tf\n",
    "segmentation/tensorlayer_layers.py": "import tensorlayer\n\nfrom rembrandt_featgen.nn import mixed_precision\n",
    "segmentation/unet.py": "from rembrandt_featgen.segmentation import tensorlayer_layers\n",
    "features/streams.py": "from rembrandt_featgen.segmentation.unet import TAPS\n",
    "generation/gan_networks.py": "import tensorflow_addons as tfa\n",
    "generation/flow.py": "import tensorflow_probability as tfp\n",
    "generation/gan.py": "from rembrandt_featgen.generation import gan_networks\n",
    "classification/fitting.py": "from rembrandt_featgen.features.streams import features\n",
    "evaluation/trials.py": "from rembrandt_featgen.classification import fitting as fitting\n",
    "interpretation/attribution.py": "import tf_keras_vis.gradcam\n",
    "reporting/page.py": "from rembrandt_featgen.measures import overlap\n",
    "estimates/limits.py": "from rembrandt_featgen.reporting import page\n",
    "stages/__init__.py": "def all_flags(): ...\n",
    "stages/shared_flags.py": "from rembrandt_featgen.core import cli\n",
    "stages/extract_features.py": "from rembrandt_featgen import stages\n",
    "stages/write_report.py": "from rembrandt_featgen.stages import shared_flags\n",
    "stages/pipeline.py": "from rembrandt_featgen.stages import extract_features, write_report\n",
}
ROOMS = (
    "core",
    "measures",
    "cohort",
    "data",
    "nn",
    "segmentation",
    "features",
    "generation",
    "classification",
    "evaluation",
    "interpretation",
    "reporting",
    "estimates",
    "stages",
)


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


def test_rooms_are_those_of_the_design():
    assert check_floors.ROOMS == ROOMS
    assert {name.partition("/")[0] for name in HOUSE if "/" in name} == set(ROOMS)


@pytest.mark.parametrize(("number", "room"), enumerate(ROOMS))
def test_a_room_imports_itself_and_those_before_it_alone(house, number, room):
    """Each room in turn imports a file of every room."""
    files = {name.partition("/")[0]: name for name in HOUSE if "/" in name and "__init__" not in name}
    names = [files[other].removesuffix(".py").replace("/", ".") for other in ROOMS]
    text = "".join(f"import rembrandt_featgen.{name}\n" for name in names)
    module = "stages.pipeline" if room == "stages" else f"{room}.late"
    root = house(**{f"{module.replace('.', '/')}.py": text})
    found = list(check_floors.faults(root))
    assert len(found) == len(ROOMS) - 1 - number
    for fault, (line, other) in zip(found, list(enumerate(names, 1))[number + 1 :]):
        target = other.partition(".")[0]
        assert fault.startswith(f"{root}/{module.replace('.', '/')}.py:{line}: {module} imports {other}, ")
        assert fault.endswith(f"and {target} comes after {room}")


@pytest.mark.parametrize(
    ("file", "text", "fault"),
    [
        # a room after this one
        (
            "data/store.py",
            "import numpy\nfrom rembrandt_featgen.segmentation import unet\n",
            ":2: data.store imports segmentation.unet, and segmentation comes after data",
        ),
        (
            "segmentation/unet.py",
            "from rembrandt_featgen.features.streams import features\n",
            ":1: segmentation.unet imports features.streams, and features comes after segmentation",
        ),
        (
            "core/errors.py",
            "import rembrandt_featgen.measures.overlap\n",
            ":1: core.errors imports measures.overlap, and measures comes after core",
        ),
        (
            "reporting/page.py",
            "def late():\n    from rembrandt_featgen.stages.pipeline import run\n",
            ":2: reporting.page imports stages.pipeline, and stages comes after reporting",
        ),
        (
            "core/errors.py",
            "from rembrandt_featgen import stages\n",
            ":1: core.errors imports stages, and stages comes",
        ),
        # a room that is none
        ("training/loops.py", "from rembrandt_featgen.core import cli\n", ":1: training is no room of"),
        ("metrics.py", "from rembrandt_featgen.core import cli\n", ":1: metrics is no room of"),
        # one stage in another
        (
            "stages/write_report.py",
            "from rembrandt_featgen.stages import extract_features\n",
            ":1: stages.write_report imports the stage stages.extract_features, which only stages.pipeline, ",
        ),
        (
            "stages/shared_flags.py",
            "from rembrandt_featgen.stages.pipeline import run\n",
            ":1: stages.shared_flags imports the stage stages.pipeline, which only ",
        ),
        # libraries of one file
        (
            "features/streams.py",
            "import tensorlayer as tl\n",
            ":1: tensorlayer is imported outside segmentation.tensorlayer_layers",
        ),
        (
            "generation/gan.py",
            "from tensorlayer.layers import Conv2d\n",
            ":1: tensorlayer is imported outside segmentation.tensorlayer_layers",
        ),
        (
            "segmentation/unet.py",
            "import tensorflow_addons\n",
            ":1: tensorflow_addons is imported outside generation.gan_networks",
        ),
        ("stages/extract_features.py", "from absl import flags\n", ":1: absl.flags is imported outside core.cli"),
        ("data/store.py", "import nibabel.nifti1 as n\n", ":1: nibabel is imported outside cohort.nifti_files"),
        (
            "reporting/page.py",
            "from tf_keras_vis import saliency\n",
            ":1: tf_keras_vis is imported outside interpretation.attribution",
        ),
        # two files of one name
        (
            "stages/unet.py",
            "",
            ":1: stages.unet has the name of segmentation.unet: one would need an alias; rename one of them",
        ),
        # a file under another name
        (
            "evaluation/trials.py",
            "from rembrandt_featgen.classification import map_fitting as training\n",
            ":1: classification.map_fitting is imported as training; rename the one that is in the way",
        ),
        (
            "evaluation/trials.py",
            "import numpy as np\nimport rembrandt_featgen.measures.overlap as measures\n",
            ":2: measures.overlap is imported as measures; rename the one that is in the way",
        ),
        # names that are not whole
        ("generation/gan.py", "from . import gan_networks\n", ":1: a relative import; write the whole name"),
        ("generation/gan.py", "from ..core.errors import InputError\n", ":1: a relative import; write the whole name"),
    ],
)
def test_each_fault_is_one_line(house, file, text, fault):
    root = house(**{file: text})
    (found,) = check_floors.faults(root)
    assert found.startswith(f"{root / file}{fault}")


@pytest.mark.parametrize(
    "text",
    [
        "from absl import app, logging\n",
        "import tensorlayerx\n",
        "import absl\n",
    ],
)
def test_packages_of_like_names_are_free(house, text):
    assert list(check_floors.faults(house(**{"evaluation/trials.py": text}))) == []


@pytest.mark.parametrize("runner", check_floors.RUNNERS)
def test_stages_that_run_others_may_import_them(house, runner):
    text = "from rembrandt_featgen.stages import extract_features, write_report\n"
    assert list(check_floors.faults(house(**{f"{runner.replace('.', '/')}.py": text}))) == []


def test_script_prints_every_fault_and_fails(house):
    sideways = "from rembrandt_featgen.stages import extract_features\n"
    root = house(**{"stages/write_report.py": sideways, "measures/overlap.py": "import tensorlayer\n"})
    done = subprocess.run([sys.executable, SCRIPT, root], capture_output=True, text=True)
    assert done.returncode == 1
    first, second = done.stdout.splitlines()
    assert "measures/overlap.py:1: tensorlayer is imported outside" in first
    assert "stages/write_report.py:1: stages.write_report imports the stage stages.extract_features" in second


def test_real_package_has_no_faults():
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "floors: every import keeps to the order of the rooms\n"), done.stdout


def test_every_file_is_in_a_room():
    """A file beside the rooms that imports nothing of ours would pass the check of imports."""
    package = ROOT / check_floors.PACKAGE
    assert [path.name for path in package.glob("*.py")] == ["__init__.py"]
    folders = {path.name for path in package.iterdir() if path.is_dir() and list(path.rglob("*.py"))}
    assert folders == set(ROOMS)
