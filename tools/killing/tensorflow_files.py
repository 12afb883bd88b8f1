"""What is compared of files of TensorFlow whose bytes differ by nature: checkpoints, SavedModels, events."""

from __future__ import annotations

import collections
import itertools
from pathlib import Path

import numpy as np
import tensorflow as tf

_SESSION = "_hparams_/session_start_info"  # holds the time at which it was written


def variables(prefix: Path) -> dict:
    """Name to type, shape and bits of each variable of a checkpoint, and texts as they are, but for its graph.

    Args:
      prefix: path of the index without `.index`.
    """
    reader = tf.train.load_checkpoint(str(prefix))
    found = {}
    for name in sorted(reader.get_variable_to_shape_map()):
        if name == "_CHECKPOINTABLE_OBJECT_GRAPH":  # names of objects, some of which count what the process made
            continue
        value = np.asarray(reader.get_tensor(name))
        found[name] = (str(value.dtype), value.shape, value.tolist() if value.dtype == object else value.tobytes())
    return found


def graphs(path: Path) -> dict:
    """What a saved_model.pb computes: signatures, and how many nodes of each operation, with the bits of constants.

    Names of functions and nodes end in numbers that count what the process made before.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel.FromString(path.read_bytes()).meta_graphs[0]
    nodes: collections.Counter = collections.Counter()
    for node in itertools.chain(model.graph_def.node, *(one.node_def for one in model.graph_def.library.function)):
        constant = node.attr["value"].tensor.SerializeToString(deterministic=True) if node.op == "Const" else b""
        nodes[node.op, constant] += 1
    signatures = {
        name: sorted(
            (key, info.dtype, str(info.tensor_shape))
            for key, info in [*signature.inputs.items(), *signature.outputs.items()]
        )
        for name, signature in model.signature_def.items()
    }
    return {"signatures": signatures, **{str(key): count for key, count in nodes.items()}}


def events(folder: Path) -> dict[tuple[str, int], set[bytes]]:
    """Tag and step to what was written for it, of all event files of one folder.

    A step that was done again after a kill stands there twice; both have to be the same to be one.
    """
    from tensorflow.core.util import event_pb2

    found: dict[tuple[str, int], set[bytes]] = collections.defaultdict(set)
    for path in sorted(folder.glob("*.tfevents.*")):
        try:
            for record in tf.compat.v1.io.tf_record_iterator(str(path)):
                event = event_pb2.Event.FromString(record)
                for value in event.summary.value:
                    if value.tag != _SESSION:
                        found[value.tag, event.step].add(value.SerializeToString(deterministic=True))
        except tf.errors.DataLossError:  # a kill left half of its last record
            continue
    return dict(found)
