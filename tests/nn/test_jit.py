"""--jit, on a CPU: XLA's steps of each network are TensorFlow's, and they are XLA's."""

import json
import os
import subprocess
import sys

import pytest

from rembrandt_featgen.nn import devices
from tests.nn import jit_steps


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    dumped = tmp_path_factory.mktemp("dumped")
    changes = {"DUMPED": str(dumped), "TF_XLA_FLAGS": devices.CPU_JIT, "XLA_FLAGS": f"--xla_dump_to={dumped}"}
    changes["XLA_FLAGS"] += " --xla_backend_optimization_level=0"  # compiles in half the time
    command = [sys.executable, "-m", "tests.nn.jit_steps"]
    done = subprocess.run(command, env={**os.environ, **changes}, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", jit_steps.NETWORKS)
def test_compiled_steps_are_those_of_tensorflow(found, name):
    one = found[name]
    assert one["after"] > one["before"]  # XLA compiled something
    assert 0 <= one["furthest"] < 2e-4  # a step of Adam is 1e-3
