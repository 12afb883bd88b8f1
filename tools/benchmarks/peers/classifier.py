"""The CNN classifier, in PyTorch."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks import turns
from benchmarks.peers import network


def build(shape, filters: int, units: int) -> nn.Module:
    """The layers of `rembrandt_featgen.classification.map_networks`."""
    height, width, channels = shape
    layers: list[nn.Module] = []
    for inputs, outputs in ((channels, filters), (filters, 2 * filters)):
        pool = nn.MaxPool2d(2, ceil_mode=True)  # "same"
        convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        layers += [convolution, nn.BatchNorm2d(outputs, momentum=0.1), nn.ReLU(), pool]
        height, width = -(-height // 2), -(-width // 2)
    dense = nn.Linear(2 * filters * height * width, units)
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.5), dense, nn.ReLU(), nn.Dropout(0.5), nn.Linear(units, 1))


def train(options: dict) -> turns.Work:
    """A side: an epoch."""
    settings = network.prepare(options)
    candidates = {name: _training(options, *setting) for name, setting in settings.items()}
    work, facts = turns.fastest(candidates)
    built = build(options["shape"], options["filters"], options["units"])
    # Keras counts the running means and variances of batch norm as well.
    means = sum(x.numel() for x in built.buffers() if x.numel() > 1)
    return turns.Work(work, {**facts, "parameters": network.parameters(built) + means})


def _training(options, memory_format, mode):
    state: list = []
    device = options.get("device", "cpu")
    scaler = network.scaler(options["precision"], device)

    def start():
        height, width, channels = options["shape"]
        features = F.relu(torch.randn(options["samples"], channels, height, width) - 1.0)
        built = build(options["shape"], options["filters"], options["units"])
        built = built.to(device, memory_format=memory_format)
        optimizer = torch.optim.Adam(built.parameters(), 1e-3, fused=True)
        return features.to(device, memory_format=memory_format), network.compiled(built, mode), optimizer

    def epoch():
        if not state:
            state.extend(start())
        features, run, optimizer = state
        labels, total = (torch.arange(options["samples"], device=device) % 2).float(), 0.0
        order = torch.randperm(options["samples"], device=device)
        for rows in order.tensor_split(-(-options["samples"] // options["batch"])):
            network.begin_step()
            optimizer.zero_grad(set_to_none=True)
            with network.autocast(options["precision"], device):
                logits = run(features[rows])
            loss = F.binary_cross_entropy_with_logits(logits.float()[:, 0], labels[rows])
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            total += loss.detach()
        return float(total)

    return epoch
