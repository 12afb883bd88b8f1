"""Pools finished studies: one estimate, over data sets, shots and classifiers, of what each arm adds, and of what it
will add in the next data set.

It reads report.json of each study, and trains nothing.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from rembrandt_featgen import stages
from rembrandt_featgen.core import cli, json_files, registry, rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import pooled_studies, pooled_tasks
from rembrandt_featgen.reporting import pooled_page
from rembrandt_featgen.stages import shared_flags


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the stage."""

    run_dir: str = cli.flag("", "Folder that gets pooled/.", required=True, path=True)
    studies: tuple[str, ...] = cli.flag(
        (),
        "Folders of finished studies, DIR or NAME=DIR, of 2 data sets or more. NAME is that of the data set, by "
        "default the folder's; studies of the same name are of the same patients.",
        required=True,
        path=True,
    )
    margin: float = shared_flags.margin()
    seed: int = shared_flags.seed()
    report_title: str = shared_flags.report_title("'Pooled studies'")


def run(config: Config) -> None:
    """Writes run_dir/pooled: pooled.json, index.html, pooled.csv, pooled_tasks.csv and pooled.tex."""
    found = [(name, path.resolve()) for name, path in map(pooled_tasks.find, config.studies)]
    paths = [str(path) for _, path in found]
    twice = sorted({path for path in paths if paths.count(path) > 1})
    if twice:
        raise InputError(f"--studies names {twice[0]} twice; name each study once")
    if len({name for name, _ in found}) < 2:
        raise InputError(
            f"--studies={','.join(config.studies)}: these are studies of one data set, {found[0][0]!r}; give those of "
            "2 or more, and where folders are named alike, NAME=DIR for each"
        )
    of_table: dict[str, str] = {}
    for name, path in found:
        table = pooled_tasks.features_of(path)
        if table and of_table.setdefault(table, name) != name:
            raise InputError(
                f"--studies={','.join(config.studies)}: {of_table[table]} and {name} are of the same table, whose "
                f"patients would count twice; give both one name, such as {name}=DIR"
            )
    for name, path in found:
        pooled_studies.check(name, path)  # before there is a folder
    digests = {f"{name}={path}": rundir.file_digest(path) for name, path in found}
    # However a study is written, relative to wherever, it is resumed as the report that it names.
    resolved = dataclasses.replace(config, studies=tuple(digests))
    with rundir.open_stage(resolved, "pool_studies", [], digests=digests) as stage:
        if not stage.done:
            made = pooled_studies.pooled_report(found, margin=config.margin, seed=config.seed)
            report = json_files.plain({**made, "settings": stage.record["config"]})
            pooled_page.write(stage.path, report, config.report_title or "Pooled studies")
            stage.complete(word=report["verdict_word"], verdict=report["verdict"])
    folder = Path(config.run_dir) / registry.folder("pool_studies")
    print(f"report: {folder / 'index.html'}\n{stage.record['figures']['verdict']}")


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, about=__doc__, known_elsewhere=stages.all_flags)


if __name__ == "__main__":
    main()
