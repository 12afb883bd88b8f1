import dataclasses

import pytest
import tensorflow as tf

from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.nn import distribution, worker_stages


@dataclasses.dataclass(frozen=True)
class Config:
    run_dir: str


ABORTED = "Collective ops is aborted by: Collective instance 626 expected type 0 and data_type 2"


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("failed to connect\nto all addresses", "InternalError: failed to connect"),
        (f"Graph execution error:\n\nDetected at node A (most recent):\n  File x\n{ABORTED}\n\t [[A]]", ABORTED),
        ("", "InternalError: nothing more is said"),
    ],
)
def test_what_ended_a_collective_is_said(tmp_path, monkeypatch, message, words):
    monkeypatch.setattr(distribution, "workers", lambda where: (0, 2))
    monkeypatch.setattr(distribution, "any_worker", lambda where, value: value)
    opened = worker_stages.open_stage(distribution.strategy("one"), Config(str(tmp_path)), "train_unet")
    with pytest.raises(InputError) as said, opened:
        raise tf.errors.InternalError(None, None, message)
    assert words in str(said.value) and "\n" not in str(said.value)
    assert "worker 0 of 2 has lost another, it seems" in str(said.value) and "start all of them again" in str(
        said.value
    )
