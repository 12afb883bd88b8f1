"""The U-Net of the paper's section 3.1 in PyTorch."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks import turns
from benchmarks.peers import network


class UNet(nn.Module):
    """The layers of `rembrandt_featgen.segmentation.unet`, in their order."""

    def __init__(self, width: int):
        super().__init__()
        filters = [width * 2**level for level in range(5)]

        def block(inputs, outputs):
            first, second = (nn.Conv2d(i, outputs, 3, padding=1) for i in (inputs, outputs))
            return nn.Sequential(first, nn.ReLU(inplace=True), second, nn.ReLU(inplace=True))

        self.down = nn.ModuleList(block(i, o) for i, o in zip([1, *filters], filters))
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * f, f, 3, 2, 1, 1) for f in filters[3::-1])
        self.merge = nn.ModuleList(block(2 * f, f) for f in filters[3::-1])
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, x):
        skips = []
        for level, block in enumerate(self.down):
            x = block(nn.functional.max_pool2d(x, 2) if level else x)
            skips.append(x)
        for up, merge, skip in zip(self.up, self.merge, skips[3::-1]):
            x = merge(torch.cat([up(x), skip], 1))
        return torch.sigmoid(self.head(x).float())


def train(options: dict) -> turns.Work:
    """A side: a training step on the same batch."""
    return _fastest(options, _training)


def forward(options: dict) -> turns.Work:
    """A side: probabilities of the same batch."""
    return _fastest(options, _running)


def _fastest(options, make):
    settings = network.prepare(options)
    candidates = {name: make(options, *setting) for name, setting in settings.items()}
    work, facts = turns.fastest(candidates)
    return turns.Work(work, {**facts, "parameters": network.parameters(UNet(options["width"]))})


def _network(options, memory_format, mode):
    device = options.get("device", "cpu")
    images = torch.randn(options["batch"], 1, options["size"], options["size"])
    images = images.to(device, memory_format=memory_format)
    unet = UNet(options["width"]).to(device, memory_format=memory_format)
    return images, unet, network.compiled(unet, mode)


def _training(options, memory_format, mode):
    state: list = []
    device, steps = options.get("device", "cpu"), options.get("steps", 1)
    scaler = network.scaler(options["precision"], device)

    def start():
        images, unet, run = _network(options, memory_format, mode)
        masks = (torch.rand_like(images) > 0.95).float()
        return images, masks, run, torch.optim.Adam(unet.parameters(), 1e-3, fused=True)

    def step():
        if not state:
            state.extend(start())
        images, masks, run, optimizer = state
        network.begin_step()
        optimizer.zero_grad(set_to_none=True)
        with network.autocast(options["precision"], device):
            probability = run(images)
        overlap = (masks * probability).sum()
        loss = 1.0 - (2.0 * overlap + 1e-5) / (probability.sum() + masks.sum() + 1e-5)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        return loss

    return lambda: [step() for _ in range(steps)][-1].item()  # which waits for a GPU


def _running(options, memory_format, mode):
    state: list = []

    def run():
        if not state:
            images, _, unet = _network(options, memory_format, mode)
            state.extend([images, unet])
        with torch.inference_mode(), network.autocast(options["precision"], options.get("device", "cpu")):
            return state[1](state[0]).cpu().numpy()

    return run
