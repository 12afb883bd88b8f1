"""By --deterministic a training that is killed and resumed ends as an unbroken one, optimizers and all."""

import json
import subprocess
import sys

import pytest

from tests.nn import resumed_trainings

EPOCHS_LEFT = resumed_trainings.EPOCHS - resumed_trainings.KILLED // resumed_trainings.STEPS


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What `resumed_trainings` prints."""
    command = [sys.executable, "-m", "tests.nn.resumed_trainings", tmp_path_factory.mktemp("resumed")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", resumed_trainings.NETWORKS)
def test_resumed_training_has_the_bits_of_an_unbroken_one(found, name):
    one = found[name]
    assert one["of optimizers"] > 10 and one["variables"] > one["of optimizers"]
    assert one["differ"] == [] and one["history"]
    # a counter that a checkpoint has once another one was restored
    assert one["missing"] == ["save_counter/.ATTRIBUTES/VARIABLE_VALUE"]


@pytest.mark.parametrize("name", resumed_trainings.NETWORKS)
def test_it_sees_the_batches_that_were_left(found, name):
    assert found[name]["order"] and found[name]["batches"] >= EPOCHS_LEFT * resumed_trainings.STEPS
