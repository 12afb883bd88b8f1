"""Sets the threads of a cluster's worker processes before they import TensorFlow, as which this imports nothing."""

from __future__ import annotations

import os
import sys

from distributed import Worker, WorkerPlugin

from rembrandt_featgen.core import thread_counts


class ThreadsPlugin(WorkerPlugin):
    """Of every process that is there or comes; one in which TensorFlow has started is left as it is."""

    def __init__(self, count: int):
        """Args: count of threads of each library."""
        self.name, self._count = "rembrandt_featgen-threads", count

    def setup(self, worker: Worker) -> None:
        """Called by Dask in the process."""
        if "tensorflow" not in sys.modules:
            os.environ.update(thread_counts.variables(self._count))
