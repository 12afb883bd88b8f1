"""What is compared of files of TensorFlow whose bytes differ by nature: checkpoints, SavedModels, events."""

from __future__ import annotations

import collections
import hashlib
from pathlib import Path

import numpy as np
import tensorflow as tf

_SESSION = "_hparams_/session_start_info"  # holds the time at which it was written
_NAMES = ("shared_name", "debug_name", "_class", "_gradient_op_type")  # attributes that name objects


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
    """What a saved_model.pb computes: its signatures, and how often each node is there with all that it is made from.

    Names of functions and nodes end in numbers that count what the process made before: a node counts by its operation,
    its attributes and its inputs, a function by its results.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel.FromString(path.read_bytes()).meta_graphs[0]
    functions = {one.signature.name: one for one in model.graph_def.library.function}
    digests: dict[str, str] = {}
    for name in functions:
        _digest_function(name, functions, digests)
    nodes = _digest_nodes(model.graph_def.node, {}, digests)
    signatures = {
        name: sorted(
            (key, info.dtype, str(info.tensor_shape), nodes.get(info.name.split(":")[0], ""))
            for key, info in [*signature.inputs.items(), *signature.outputs.items()]
        )
        for name, signature in model.signature_def.items()
    }
    counts = collections.Counter([*digests.values(), *nodes.values()])
    return {"signatures": signatures, **counts}


def _digest_function(name, functions, digests) -> str:
    """Digest of what a function returns from its arguments, in their order, and of what it does besides."""
    if name not in digests:
        digests[name] = "itself"  # should it call itself
        one = functions[name]
        for node in one.node_def:
            for called in _called(node):
                if called in functions:
                    _digest_function(called, functions, digests)
        arguments = {argument.name: f"argument {place}" for place, argument in enumerate(one.signature.input_arg)}
        nodes = _digest_nodes(one.node_def, arguments, digests)
        returned = [_digest_input(one.ret[argument.name], arguments | nodes) for argument in one.signature.output_arg]
        digests[name] = _digest(returned, sorted(nodes.values()))
    return digests[name]


def _called(node) -> list[str]:
    """Names of the functions in the attributes of a node."""
    return [one.name for value in node.attr.values() for one in (value.func, *value.list.func) if one.name]


def _digest_nodes(nodes, arguments: dict[str, str], functions: dict[str, str]) -> dict[str, str]:
    """Name of each node to its digest; of nodes in a circle to what does not go around."""
    by_name = {node.name: node for node in nodes}
    digests = dict(arguments)
    begun: set[str] = set()
    waiting = list(by_name)
    while waiting:
        node = by_name[waiting[-1]]
        inputs = [_node_of(one) for one in node.input]
        missing = [name for name in inputs if name in by_name and name not in digests and name not in begun]
        begun.add(node.name)
        if missing:
            waiting += missing
            continue
        waiting.pop()
        if node.name not in digests:
            digests[node.name] = _digest(
                node.op,
                sorted((key, _attribute(value, functions)) for key, value in node.attr.items() if key not in _NAMES),
                [_digest_input(one, digests) for one in node.input if not one.startswith("^")],
                sorted(_digest_input(one, digests) for one in node.input if one.startswith("^")),
            )
    return {name: digests[name] for name in by_name}


def _attribute(value, functions) -> bytes:
    """Bits of an attribute, with the digests of functions in place of their names."""
    copy = type(value).FromString(value.SerializeToString())
    for one in (copy.func, *copy.list.func) if copy.WhichOneof("value") in ("func", "list") else ():
        one.name = functions.get(one.name, "")
    return copy.SerializeToString(deterministic=True)


def _node_of(reference: str) -> str:
    return reference.removeprefix("^").split(":")[0]


def _digest_input(reference: str, digests: dict[str, str]) -> str:
    """Digest of a node, and which of its outputs is meant."""
    return ":".join([digests.get(_node_of(reference), "around"), *reference.split(":")[1:]])


def _digest(*parts) -> str:
    return hashlib.sha256(repr(parts).encode("utf-8")).hexdigest()


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
