"""Installation of rembrandt_featgen: `pip install .`, or `tools/demo`, which pins every package."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
STAGES = (HERE / "rembrandt_featgen/stages").glob("*.py")
BINARIES = sorted(path.stem for path in STAGES if "\ndef main(" in path.read_text(encoding="utf-8"))
CLUSTER = ["distributed>=2024.8"]  # and dask; the last line for Python 3.9

setup(
    name="rembrandt_featgen",
    version=re.search(r'__version__ = "(.+)"', (HERE / "rembrandt_featgen/__init__.py").read_text()).group(1),
    description="Feature generation for small, imbalanced medical imaging cohorts, and whether it helps",
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    packages=find_packages(include=["rembrandt_featgen", "rembrandt_featgen.*"]),
    package_data={"rembrandt_featgen.reporting": ["*.j2"]},
    python_requires=">=3.9,<3.12",
    # The newest line that TensorLayer, TensorFlow Addons and Keras share; see tools/README.md, "Packages".
    install_requires=[
        "tensorflow>=2.15.1,<2.16",
        "keras>=2.15,<2.16",
        "tensorlayer==2.2.5",
        "tensorflow-addons==0.23.0",
        "tensorflow-probability==0.23.0",  # the line of TensorFlow 2.15
        "opencv-python-headless>=4.8,<4.12",  # imported by tensorlayer, which does not declare it
        "matplotlib>=3.8",  # also imported by tensorlayer
        "nibabel>=5.2,<6",
        "pillow>=10",  # also imported by matplotlib
        "numpy>=1.24,<2",
        "scipy>=1.11,<2",
        "scikit-learn>=1.3",
        "scikit-image>=0.22",
        "threadpoolctl>=3.1",
        "SimpleITK>=2.3,<3",
        "imbalanced-learn>=0.12.4,<0.15",
        "numcodecs>=0.12,<0.17",
        "pandas>=2.2,<3",
        "pyarrow>=16,<22",  # the last for Python 3.9
        "tf-keras-vis>=0.8.7,<0.9",
        "tensorboard>=2.15,<2.16",
        "absl-py>=2.0",
        "tqdm>=4.66",
        "jinja2>=3.1",
    ],
    extras_require={
        "gpu": ["tensorflow[and-cuda]>=2.15.1,<2.16"],  # Linux; CUDA 12.2 and cuDNN 8.9 as packages
        "cluster": CLUSTER,  # --scheduler=local or the address of a cluster
        "test": [
            *CLUSTER,
            "pytest>=8",
            "pytest-xdist>=3.6",
            "hypothesis>=6.100",
            "prdc==0.2",
            "ruff>=0.5",
            "mypy>=1.8",
        ],
    },
    entry_points={
        "console_scripts": [f"featgen-{s.replace('_', '-')} = rembrandt_featgen.stages.{s}:main" for s in BINARIES]
    },
)
