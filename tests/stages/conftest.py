"""What tests of several stages begin with."""

import pytest

from rembrandt_featgen.cohort import phantom
from rembrandt_featgen.stages import prepare_slices


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A run folder with slices."""
    folder = tmp_path_factory.mktemp("prepared")
    cohort = phantom.write_phantom(folder / "cohort", {"LGG": 4, "HGG": 5}, size=32, slices=3)
    prepare_slices.run(prepare_slices.Config(str(folder / "run"), str(cohort), image_size=32))
    return folder / "run"
