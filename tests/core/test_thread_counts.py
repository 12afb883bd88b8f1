"""--threads: what this process and those that it starts compute with."""

import os
import pathlib
import subprocess
import sys

import pytest

from rembrandt_featgen.core import thread_counts

# TensorFlow has two pools, between and within operations; tf.data's maps run in the former.
CODE = """
import os, sys
import numpy, tensorflow as tf, threadpoolctl
from rembrandt_featgen.core import cli, common_flags, thread_counts
given = {"no_lock": False, "threads": int(sys.argv[1]), "memory_limit": ""}
with common_flags.applied(common_flags.read(given)):
    x = tf.random.normal([300, 300])
    (x @ x).numpy()
    list(tf.data.Dataset.range(32).map(lambda n: n + 1, num_parallel_calls=8))
libraries = {one["num_threads"] for one in threadpoolctl.threadpool_info()}
child = os.popen(f'{sys.executable} -c "import os; print(os.environ[\\'OMP_NUM_THREADS\\'])"').read().strip()
print(thread_counts.total(), libraries, child, len(os.listdir("/proc/self/task")))
"""


@pytest.mark.skipif(not pathlib.Path("/proc/self/task").is_dir(), reason="threads are counted in /proc")
def test_tensorflow_numpy_and_processes_take_that_many():
    of = {
        count: subprocess.Popen([sys.executable, "-c", CODE, str(count)], stdout=subprocess.PIPE, text=True)
        for count in (1, 4)
    }
    found = {count: process.communicate(timeout=120)[0].split() for count, process in of.items()}
    for count in of:
        assert found[count][:3] == [str(count), f"{{{count}}}", str(count)]
    assert int(found[4][3]) - int(found[1][3]) >= 2 * 3


def test_without_the_flag_all_cores_or_what_the_environment_says(monkeypatch):
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    assert thread_counts.total() == os.cpu_count()
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "7")
    assert thread_counts.total() == 7
