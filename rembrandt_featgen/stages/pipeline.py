"""Runs all stages of a run, from NIfTI files to the report; what is done is skipped, what was killed goes on."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import tensorflow as tf
from absl import logging

from rembrandt_featgen import cli, rundir, stages
from rembrandt_featgen.stages import report

_MODULES = stages.modules()


Config = dataclasses.make_dataclass("Config", stages.all_fields(_MODULES.values()), frozen=True)


def run(config) -> None:
    """Runs each stage with its share of `config`; ends with the path of the report and its verdict."""
    run_dir = Path(config.run_dir)
    rundir.make_folder(run_dir, "--run_dir")
    logging.info("watch with: tensorboard --logdir %s", run_dir / "tensorboard")
    for number, (name, module) in enumerate(_MODULES.items(), 1):
        logging.info("[%d/%d] %s: %s", number, len(_MODULES), name, module.__doc__.splitlines()[0])
        start = time.time()
        module.run(stages.share(module, config))
        tf.keras.backend.clear_session()
        logging.info("[%d/%d] %s: %.0f s", number, len(_MODULES), name, time.time() - start)
    # once all stages agreed to these settings: a re-runnable flagfile of the whole run
    (run_dir / "flags.txt").write_text(cli.flagfile_text(config))
    found = rundir.read_json(run_dir / report.FOLDER / "report.json")
    print(f"report: {run_dir / report.FOLDER / 'index.html'}\nverdict: {found['verdict']}")


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, __doc__, stages.all_flags)


if __name__ == "__main__":
    main()
