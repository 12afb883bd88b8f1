"""What Grappler's layout pass makes of a graph on a GPU, on a machine that has none."""

import tensorflow as tf
from tensorflow.core.protobuf import config_pb2, device_properties_pb2
from tensorflow.python.framework import meta_graph
from tensorflow.python.grappler import cluster, tf_optimizer

_HOST = "/job:localhost/replica:0/task:0/device:"


def laid_out(function, architecture: str) -> list[str]:
    """Operations of a concrete function, and of what it calls, after the layout pass for a GPU of a compute capability.

    Below 7.0 maps of every type are laid out with channels first, from there on those in float16 (and in float32 with
    TF32 from 8.0 on) with channels last.

    Raises:
      tf.errors.InvalidArgumentError: the pass failed, of which a run only logs a line.
    """
    gpu = device_properties_pb2.DeviceProperties(
        type="GPU", frequency=1000, num_cores=100, memory_size=2**34, environment={"architecture": architecture}
    )
    cpu = device_properties_pb2.DeviceProperties(type="CPU", frequency=1000, num_cores=8)
    devices = [
        device_properties_pb2.NamedDevice(properties=properties, name=f"{_HOST}{properties.type}:0")
        for properties in (gpu, cpu)
    ]
    config = config_pb2.ConfigProto()
    rewriting = config.graph_options.rewrite_options
    rewriting.min_graph_nodes = -1
    rewriting.optimizers.append("layout")
    rewriting.fail_on_optimizer_errors = True
    with tf.Graph().as_default() as graph:
        nodes = function.graph.as_graph_def()
        inside = [node for each in nodes.library.function for node in each.node_def]  # such as of a loop's body
        for node in [*nodes.node, *inside]:
            node.device = f"{_HOST}GPU:0"
        tf.import_graph_def(nodes, name="")
    described = meta_graph.create_meta_graph_def(graph=graph)
    names = [output.op.name for output in function.outputs]
    described.collection_def["train_op"].node_list.value.extend(names)
    optimized = tf_optimizer.OptimizeGraph(config, described, cluster=cluster.Cluster(devices=devices))
    inside = [node for each in optimized.library.function for node in each.node_def]
    return [node.op for node in [*optimized.node, *inside]]
