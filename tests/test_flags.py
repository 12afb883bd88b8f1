"""Every flagfile of flags/ is understood, by a run as by a study."""

from pathlib import Path

import pytest

from rembrandt_featgen import cli, stages
from rembrandt_featgen.stages import crossvalidate, pipeline

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("binary", [pipeline, crossvalidate])
@pytest.mark.parametrize("path", sorted((ROOT / "flags").glob("*.flags")), ids=lambda path: path.stem)
def test_flagfile_is_understood(path, binary, monkeypatch):
    monkeypatch.chdir(ROOT)  # flagfiles include one another from there
    given = [f"--flagfile={path}", "--run_dir=somewhere"]
    config = cli.parse(binary.Config, given, stages.all_flags)
    assert config.run_dir == "somewhere"
    default = binary.Config(run_dir="somewhere")
    assert config != default


def test_recommended_departs_from_the_paper(monkeypatch):
    monkeypatch.chdir(ROOT)
    paper, ours = (
        cli.parse(pipeline.Config, [f"--flagfile=flags/{name}.flags", "--run_dir=x"], stages.all_flags)
        for name in ("paper", "recommended")
    )
    assert (paper.ndf, paper.unet_width, paper.acgan_learning_rate, paper.gan_average) == (512, 64, 0.002, 0)
    assert (ours.test_counts, ours.dice_over, ours.gan_average) == ((), "batch", 0.999)
    assert ours.synthetic_per_grade == paper.synthetic_per_grade == 2400  # what ours does not name is the paper's
