"""What several replicas train is what one does: losses, measures and weights, for every kind of network."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.nn import distribution
from tests.nn import two_cpus

TOLERANCE = 1e-4  # rounding makes 5e-7, float16 8e-5


@pytest.fixture(scope="module")
def trained():
    """What `two_cpus` prints."""
    done = subprocess.run([sys.executable, "-m", "tests.nn.two_cpus"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def apart(one, two):
    """Largest difference of the logs, and of the weights."""
    logs = [np.abs(np.subtract(one["logs"][name], two["logs"][name])).max() for name in one["logs"]]
    return max(logs), np.abs(np.subtract(one["weights"], two["weights"])).max()


@pytest.mark.parametrize("name", two_cpus.NETWORKS)
def test_two_replicas_train_as_one_does(trained, name):
    one, two = trained[name]["one"], trained[name]["two"]
    assert trained["replicas"] == 2
    assert set(one["logs"]) == set(two["logs"]) and len(one["weights"]) == len(two["weights"])
    assert max(apart(one, two)) < TOLERANCE
    assert apart(one, {**one, "logs": {log: values[1:] + values[:1] for log, values in one["logs"].items()}})[0] > 1e-3


def test_a_strategy_trains_the_unet_as_no_strategy_does(trained):
    assert max(apart(trained["unet"]["default"], trained["unet"]["two"])) < TOLERANCE


def test_replicas_that_draw_the_same_noise_are_found(trained):
    """The comparison above fails where all replicas take the first rows of what is drawn."""
    assert apart(trained["acgan"]["one"], trained["acgan"]["same_noise"])[0] > 1e-3


def test_replicas_have_noise_of_their_own_and_together_that_of_one(trained):
    first, second = trained["noise"]
    assert (len(first), len(second)) == (2, 3)
    assert first + second == trained["drawn"] and len(set(first + second)) == 5


@pytest.mark.parametrize(
    "given",
    ["", "{", '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}', '{"task": {"index": 0}}'],
)
def test_several_hosts_need_their_addresses(monkeypatch, given):
    monkeypatch.setenv("TF_CONFIG", given)
    with pytest.raises(InputError, match=r"--strategy=multi_worker needs the environment variable TF_CONFIG"):
        distribution._check_cluster()


def test_a_chief_beside_the_workers_is_refused(monkeypatch):
    monkeypatch.setenv(
        "TF_CONFIG", '{"cluster": {"chief": ["a:1"], "worker": ["b:1"]}, "task": {"type": "worker", "index": 0}}'
    )
    with pytest.raises(InputError, match="workers alone"):
        distribution._check_cluster()


def test_without_a_strategy_everything_is_as_it_was():
    one, batches = distribution.strategy("one"), tf.data.Dataset.range(3)
    assert not distribution.is_distributed(one) and distribution.is_chief(one)
    assert distribution.batches(one, batches) is batches
    share = distribution.share(tf.zeros([4, 2]))
    assert (share.first, int(share.count), int(share.total)) == (0, 4, 4)
    value = tf.constant([1.0, 2.0])
    assert share.part(value) is value and share.of(value) is value and distribution.total_of(value) is value
    assert distribution.any_worker(one, True) and not distribution.any_worker(one, False)


@pytest.mark.parametrize(("rows", "sizes"), [(11, [4, 7]), (3, [3]), (4, [4]), (8, [8]), (12, [4, 8])])
def test_the_last_validation_batch_is_one_with_that_before_it(rows, sizes):
    strategy = tf.distribute.MirroredStrategy(["/cpu:0"])
    values = np.arange(rows)
    batches = tf.data.Dataset.from_tensor_slices((values, values)).batch(4)
    divided, count = distribution.validation_batches(strategy, batches)
    found = [batch[0].numpy().tolist() for _, batch in zip(range(count), divided)]
    assert [len(batch) for batch in found] == sizes
    assert sum(found, []) == values.tolist()
