import pytest

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.stages import pipeline

CLASSES = Classes.of(("benign", "malignant"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"synthetic_to": "HGG"},
            "--synthetic_to=HGG: 'HGG' is not known; take some of all, minority, benign, malignant",
        ),
        ({"sweep_added": ("0", "9"), "sweep_added_to": ("all", "LGG")}, "--sweep_added_to=all,LGG: 'LGG' is not known"),
    ],
)
def test_classes_that_the_run_lacks_are_refused_once_its_classes_are_known(settings, message):
    with pytest.raises(InputError, match=f"^{message}"):
        pipeline.check_receivers(pipeline.Config(run_dir="x", **settings), CLASSES)


@pytest.mark.parametrize(
    "settings", [{}, {"synthetic_to": "benign"}, {"sweep_added_to": ("LGG",)}, {"sweep_added": ("all",)}]
)
def test_classes_of_the_run_and_sweeps_that_are_not_asked_for_pass(settings):
    pipeline.check_receivers(pipeline.Config(run_dir="x", **settings), CLASSES)
