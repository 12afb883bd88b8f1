"""What TensorBoard itself reads of what was written for it."""

import json
import struct
import zlib

import numpy as np
import pytest
import werkzeug.test
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups
from tensorboard.plugins.projector.projector_plugin import ProjectorPlugin
from tensorboard.util import tensor_util
from werkzeug.wrappers import Response

from rembrandt_featgen.core import rundir
from rembrandt_featgen.nn import tensorboard

VALUES = np.array([[0.0, 1.5, -2.25], [1e-7, 12345.0, 3.0]])
ROWS = [("HGG", "real", "patient é"), ("LGG", "synthetic", "synthetic_LGG")]


def png(width, height):
    """A grey picture."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    lines = b"".join(b"\0" + bytes(range(width)) for _ in range(height))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def test_every_number_of_a_finished_stage_is_a_scalar(tmp_path):
    stage = rundir.Stage(name="unet", path=tmp_path, logs=tmp_path / "logs", done=False, record={"inputs": {}})
    rows = [{"arm": "baseline", "unit": "slice", "accuracy": {"HGG": 0.5}, "mcc": np.nan, "ci95": {"mcc": [0, 1]}}]
    table = {"test": {"iou": np.float32(0.25), "by_patient": {"A": 0.1}}}
    tensorboard.complete(
        stage, epochs=3, done=True, tap="conv5", shape=(4, 4), segmentation=table, rows=rows, tried=[{"loss": 0.7}]
    )
    assert stage.done and stage.record["figures"]["shape"] == [4, 4]
    events = EventAccumulator(str(tmp_path / "logs")).Reload()
    found = {tag: tensor_util.make_ndarray(events.Tensors(tag)[0].tensor_proto) for tag in events.Tags()["tensors"]}
    assert found == {"epochs": 3, "segmentation/test/iou": 0.25, "rows/baseline_slice/accuracy/HGG": 0.5}


def test_images_are_the_very_pngs(tmp_path):
    images = {"figure_03": png(7, 5), "figure_grad_cam": png(3, 4)}
    for _ in range(2):  # the first is what a kill left
        tensorboard.write_images(tmp_path / "logs", images, {name: f"what {name} shows" for name in images})
    assert len(list((tmp_path / "logs").iterdir())) == 1
    events = EventAccumulator(str(tmp_path / "logs")).Reload()
    assert set(events.Tags()["tensors"]) == set(images)
    for name, (width, height) in {"figure_03": (7, 5), "figure_grad_cam": (3, 4)}.items():
        (event,) = events.Tensors(name)
        found = tensor_util.make_ndarray(event.tensor_proto)
        assert list(found) == [str(width).encode(), str(height).encode(), images[name]]
        metadata = events.SummaryMetadata(name)
        assert metadata.plugin_data.plugin_name == "images"
        assert metadata.summary_description == f"what {name} shows"


@pytest.fixture
def projector(tmp_path):
    """Asks TensorBoard's projector for a route and its arguments."""
    folder = tmp_path / "logs" / "projector"
    tensorboard.write_points(folder, "features", values=VALUES, header=("class", "source", "patient"), rows=ROWS)
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(tmp_path / "logs"))
    multiplexer.Reload()
    logs = str(tmp_path / "logs")
    plugin = ProjectorPlugin(TBContext(logdir=logs, data_provider=MultiplexerDataProvider(multiplexer, logs)))
    routes = plugin.get_plugin_apps()

    def ask(route, **arguments):
        response = werkzeug.test.Client(routes[route], Response).get("/", query_string=arguments)
        assert response.status_code == 200, response.data
        return response.data

    return ask


def test_projector_finds_the_run_and_its_cloud(projector):
    assert json.loads(projector("/runs")) == ["projector"]
    (cloud,) = json.loads(projector("/info", run="projector"))["embeddings"]
    assert cloud["tensorName"] == "features"
    assert cloud["tensorShape"] == [2, 3]


def test_projector_serves_the_points_and_what_is_known_of_them(projector):
    points = np.frombuffer(projector("/tensor", run="projector", name="features"), np.float32).reshape(2, 3)
    np.testing.assert_allclose(points, VALUES, rtol=1e-3)
    lines = projector("/metadata", run="projector", name="features").decode().splitlines()
    assert lines == ["class\tsource\tpatient", "HGG\treal\tpatient é", "LGG\tsynthetic\tsynthetic_LGG"]


def test_hparams_shows_every_trial_with_its_settings_and_metrics(tmp_path):
    """By the handler that TensorBoard's HPARAMS tab asks."""
    logs = tmp_path / "logs"
    trials = {
        "tap=conv5": ({"tap": "conv5", "added": 0}, {"test/accuracy": 0.5, "class_accuracy": None}, {}),
        "tap=uconv1/augmented": (
            {"tap": "uconv1", "added": 12},
            {"test/accuracy": 0.75, "class_accuracy": 0.9},
            {"d_loss": [2.0, 1.5, 1.25]},
        ),
    }
    tensorboard.write_trials(logs / "sweep", trials)
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(logs))
    multiplexer.Reload()
    context = TBContext(logdir=str(logs), data_provider=MultiplexerDataProvider(multiplexer, str(logs)))
    names = ["test/accuracy", "class_accuracy"]
    request = api_pb2.ListSessionGroupsRequest(
        slice_size=10,
        allowed_statuses=[api_pb2.STATUS_UNKNOWN, api_pb2.STATUS_RUNNING, api_pb2.STATUS_SUCCESS],
        col_params=[api_pb2.ColParams(metric=api_pb2.MetricName(tag=name)) for name in names],
    )
    handler = list_session_groups.Handler(RequestContext(), backend_context.Context(context), "", request)
    found = {}
    for group in handler.run().session_groups:
        settings = {name: value.string_value or value.number_value for name, value in group.hparams.items()}
        measured = {value.name.tag: value.value for value in group.metric_values}
        found[group.sessions[0].name] = (settings, measured)
    assert found == {
        "sweep/tap=conv5": ({"tap": "conv5", "added": 0}, {"test/accuracy": 0.5}),
        "sweep/tap=uconv1/augmented": (
            {"tap": "uconv1", "added": 12},
            {"test/accuracy": 0.75, "class_accuracy": pytest.approx(0.9)},
        ),
    }
    curve = multiplexer.Tensors("sweep/tap=uconv1/augmented", "epoch_d_loss")
    assert [(event.step, tensor_util.make_ndarray(event.tensor_proto).item()) for event in curve] == [
        (0, 2.0),
        (1, 1.5),
        (2, 1.25),
    ]
