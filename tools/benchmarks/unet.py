"""The U-Net at 240x240: training steps and forward passes, in slices per second, in each precision.

A training step is forward, soft-dice loss, backward and Adam on one batch, as fine-tuning does it, two to a round of
`fit`; its FLOP/s are those of `flops` over the time, and are compared with those of the matrix product that takes turns
with it. PyTorch trains and runs the same network (the same shapes and number of parameters) with the same loss and
optimizer, a step to a round, in the fastest of its settings: channels last or not, compiled or not; bfloat16 by
autocast.
"""

from __future__ import annotations

import tensorflow as tf

from benchmarks import graphs, matmul, rows, turns
from rembrandt_featgen.data import store
from rembrandt_featgen.nn import inference, mixed_precision, optimizers
from rembrandt_featgen.segmentation import losses
from rembrandt_featgen.segmentation.unet import build_unet

STEPS = 2  # of training in a round: what begins and ends a `fit` is shared


def measure(config, peers: bool) -> tuple[list[dict], dict]:
    """Rows and what each side took; rows without a width in their names are of the last width."""
    measured: list[dict] = []
    taken: dict = {}
    for width in map(int, config.widths):
        is_last = width == int(config.widths[-1])
        for kind in ("train", "forward"):
            found = turns.take_turns(
                _sides(config, kind, width, peers=peers, with_peak=is_last and kind == "train"), config.rounds
            )
            turns.check_parameters(found)
            steps = {name: STEPS if kind == "train" and name in config.precisions else 1 for name in found}
            speed = {
                name: config.batch * steps[name] / one.median for name, one in found.items() if "matmul" not in name
            }
            measured += rows.of_precisions(
                f"unet_{kind}_{{}}_width_{width}", speed, "slices/s", precisions=config.precisions
            )
            if is_last:
                names = rows.named_by_last(f"unet_{kind}{{}}_vs_pytorch", config.precisions)
                measured += rows.against_pytorch(names, speed, "slices/s")
            if is_last and kind == "train":
                measured += _against_peak(config, width, found, speed=speed)
            taken |= {f"{kind} width {width} {name}": one for name, one in found.items()}
    return measured, taken


def flops(width: int, size: int, channels: int = 1, training: bool = True) -> float:
    """Floating-point operations for one slice, by convolutions alone: a multiplication and an addition count two.

    A convolution of k x k from i to o channels that makes h x w positions takes 2 k^2 i o h w; a deconvolution takes
    that for each position that it reads. Going backward takes as many again for the gradient of the kernel, and as many
    for that of what it read, which the first convolution does not need.
    """
    first, rest, sides = 2.0 * 9 * channels * width * size**2, 0.0, [size // 2**level for level in range(5)]
    for level, side in enumerate(sides):
        filters = width * 2**level
        if level:
            rest += 2.0 * 9 * (filters // 2) * filters * side**2
        rest += 2.0 * 9 * filters * filters * side**2
    for level in range(4):
        filters = width * 2**level
        rest += 2.0 * 9 * 2 * filters * filters * sides[level + 1] ** 2  # deconvolution
        rest += 2.0 * 9 * (2 * filters + filters) * filters * sides[level] ** 2
    rest += 2.0 * width * size**2  # the head
    return 2 * first + 3 * rest if training else first + rest


def train(options: dict) -> turns.Work:
    """A side: a training step on the same batch."""
    images, masks = _batch(options)
    unet = _compiled(options)
    batches = store.untuned(tf.data.Dataset.from_tensors((images, masks)).repeat().prefetch(2))
    steps = options.get("steps", STEPS)
    return turns.Work(lambda: unet.fit(batches, steps_per_epoch=steps, verbose=0), {"parameters": unet.count_params()})


def loop(options: dict) -> turns.Work:
    """A side: so many steps in one graph, on a batch that stays where they are."""
    unet = _compiled(options)
    optimizers.make_variables(unet, tf.zeros([1, 16, 16, 1]), tf.zeros([1, 16, 16, 1]))
    return turns.Work(graphs.steps_in_graph(unet, _batch(options), options["steps"]))


def forward(options: dict) -> turns.Work:
    """A side: probabilities of the same batch."""
    images, _ = _batch(options)
    unet = build_unet(1, options["width"], precision=options["precision"])
    predict = inference.runner(unet)
    return turns.Work(lambda: predict(images), {"parameters": unet.count_params()})


def _compiled(options):
    unet = build_unet(1, options["width"], precision=options["precision"])
    optimizer = mixed_precision.scaled(mixed_precision.adam(1e-3), options["precision"])
    unet.compile(optimizer, losses.batch_soft_dice_loss)
    return unet


def _batch(options):
    shape = [options["batch"], options["size"], options["size"], 1]
    images = tf.random.stateless_normal(shape, [0, 0])
    return images, tf.cast(tf.random.stateless_uniform(shape, [0, 1]) > 0.95, tf.float32)


def _sides(config, kind, width, peers, with_peak):
    sides = {}
    for precision in config.precisions:
        options = {"precision": precision, "width": width, "batch": config.batch, "size": config.image_size}
        sides[precision] = turns.Side(f"{__name__}:{kind}", options)
        if with_peak:
            products = {"precision": precision, "sizes": matmul.SIZES}
            sides[f"matmul {precision}"] = turns.Side("benchmarks.matmul:setup", products)
        if peers:
            sides[f"pytorch {precision}"] = turns.Side(f"benchmarks.peers.unet:{kind}", options, peer=True)
    return sides


def _against_peak(config, width, found, speed):
    names = rows.named_by_last("unet_train{}_vs_matmul_peak", config.precisions)
    for precision in config.precisions:
        product = found[f"matmul {precision}"]
        peak = matmul.flops(product.facts) / product.median / 1e9
        achieved = flops(width, config.image_size) * speed[precision] / 1e9
        yield rows.row(f"matmul_peak_{precision}", peak, "GFLOP/s")
        yield rows.row(names[precision], achieved, "GFLOP/s", other=peak, against=f"matrix product {precision}")
