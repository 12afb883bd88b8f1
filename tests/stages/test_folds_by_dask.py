"""Two processes of Dask write the folds of a study as this process does, byte for byte, though one is killed.

U-Nets are left out: whole studies were compared by hand, see evaluation/README.md.
"""

import contextlib
import os
import signal
import threading
import time
from pathlib import Path

from rembrandt_featgen import stages
from rembrandt_featgen.stages import crossvalidate, prepare_slices, share_slices, shared_flags

SETTINGS = {"phantom_counts": ("LGG:8", "HGG:8"), "phantom_size": 48, "phantom_slices": 3, "image_size": 48}
SETTINGS |= {"cv_folds": 2, "cv_seeds": 1, "validation_fraction": 0.4, "classifiers": ("ridge",), "device": "cpu"}
SETTINGS |= {"cohort_report": False}


def jobs_of(run_dir, **changes):
    config = crossvalidate.Config(run_dir=str(run_dir), **SETTINGS, **changes)
    return config, crossvalidate._jobs(config, run_dir, gans=(), stages_of_fold=("prepare_slices",))


def kill_who_writes(log, killed):
    """Kills the first process that has a file open."""
    while not killed:
        for entry in Path("/proc").glob("[0-9]*/fd/1"):
            with contextlib.suppress(OSError):
                if entry.readlink() == log and not killed:
                    killed.append(int(entry.parts[2]))
                    os.kill(killed[0], signal.SIGKILL)
        time.sleep(0.01)


def written(study):
    """Content of the files that folds share and own, but for times and names of folders."""
    files = [*study.glob("shared_slices/*.npz"), *study.glob("fold_runs/*/slices/*.*")]
    kept = {path for path in files if path.suffix in (".npz", ".jsonl", ".csv")}
    return {path.relative_to(study): path.read_bytes() for path in kept}


def test_a_fold_whose_process_is_killed_is_done_again(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    config, jobs = jobs_of(here)
    share_slices.run(stages.share(share_slices, config))
    for ((_, of_fold),) in jobs:
        prepare_slices.run(of_fold)

    config, jobs = jobs_of(there, scheduler="local", workers=2)
    log, killed = Path(jobs[1][0][1].run_dir) / "log.txt", []
    threading.Thread(target=kill_who_writes, args=(log, killed), daemon=True).start()
    crossvalidate._learn(config, there, jobs, schedule=shared_flags.schedule(config))
    assert killed and "prepare_slices: " in log.read_text()
    assert written(there) == written(here) and len(written(here)) > 10
    assert not (there / ".shared").exists()
