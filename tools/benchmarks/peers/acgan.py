"""The ACGAN's networks and its step in PyTorch."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from benchmarks import turns
from benchmarks.peers import network

LATENT, CLASSES = 100, 2


class Generator(nn.Module):
    """The layers of `gan_networks.build_generator`."""

    def __init__(self, shape, filters: int):
        super().__init__()
        self.height, self.width, channels = shape
        self.start = (filters, -(-self.height // 4), -(-self.width // 4))
        self.dense = nn.Linear(LATENT + CLASSES, self.start[0] * self.start[1] * self.start[2], bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(filters, momentum=0.1) for _ in range(3))
        self.ups = nn.ModuleList(nn.ConvTranspose2d(filters, filters, 4, 2, 1, bias=False) for _ in range(2))
        self.last = nn.Conv2d(filters, channels, 3, padding=1)

    def forward(self, noise, labels):
        x = self.dense(torch.cat([noise, F.one_hot(labels, CLASSES).to(noise.dtype)], 1))
        x = F.relu(self.norms[0](x.view(-1, *self.start)))
        for up, norm in zip(self.ups, self.norms[1:]):
            x = F.relu(norm(up(x)))
        return F.relu(self.last(x[:, :, : self.height, : self.width])).float()


class Discriminator(nn.Module):
    """The layers of `gan_networks.build_discriminator` for an ACGAN."""

    def __init__(self, shape, filters: int):
        super().__init__()
        height, width, channels = shape
        self.convolutions = nn.ModuleList(
            spectral_norm(nn.Conv2d(inputs, filters, 3, 2)) for inputs in (channels, filters, filters)
        )
        for _ in range(3):
            height, width = -(-height // 2), -(-width // 2)
        self.source = nn.Linear(filters * height * width, 1)
        self.class_head = nn.Linear(filters * height * width, CLASSES)

    def forward(self, x):
        for convolution in self.convolutions:
            # "same" as TensorFlow has it: the odd row and column go to the end
            rows, columns = (max((-(-n // 2) - 1) * 2 + 3 - n, 0) for n in x.shape[2:])
            x = F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
            x = F.dropout(F.leaky_relu(convolution(x), 0.2), 0.25)
        x = x.flatten(1).float()
        with torch.autocast(x.device.type, enabled=False):
            return self.source(x), self.class_head(x)


def train(options: dict) -> turns.Work:
    """A side: so many steps, one after another."""
    settings = network.prepare(options)
    candidates = {name: _training(options, *setting) for name, setting in settings.items()}
    work, facts = turns.fastest(candidates)
    networks = Generator(options["shape"], options["filters"]), Discriminator(options["shape"], options["filters"])
    return turns.Work(work, {**facts, "parameters": network.parameters(*networks)})


def _training(options, memory_format, mode):
    state: list = []

    def steps():
        if not state:
            state.append(_Step(options, memory_format, mode))
        for _ in range(options["steps"]):
            found = state[0].step()
        return [loss.item() for loss in found]

    return steps


class _Step:
    """Networks, optimizers and a batch."""

    def __init__(self, options, memory_format, mode):
        shape, batch, filters = options["shape"], options["batch"], options["filters"]
        self._precision, self._device = options["precision"], options.get("device", "cpu")
        self._scalers = [network.scaler(self._precision, self._device) for _ in range(2)]
        generator, discriminator = Generator(shape, filters), Discriminator(shape, filters)
        self._networks = [x.to(self._device, memory_format=memory_format) for x in (generator, discriminator)]
        self._run = [network.compiled(x, mode) for x in self._networks]
        self._optimizers = [torch.optim.Adam(x.parameters(), 2e-4, (0.5, 0.999), fused=True) for x in self._networks]
        height, width, channels = shape
        real = F.relu(torch.randn(batch, channels, height, width) - 1.0)
        self._real = real.to(self._device, memory_format=memory_format)
        self._labels = torch.arange(batch, device=self._device) % CLASSES

    def step(self):
        """One step of D, then one of G, as `GAN.train_step` does them."""
        generator, discriminator = self._run
        g_optimizer, d_optimizer = self._optimizers
        g_scaler, d_scaler = self._scalers
        network.begin_step()
        count = len(self._labels)
        noise = torch.randn(count, LATENT, device=self._device)
        fake_labels = self._labels[torch.randperm(count, device=self._device)]
        with network.autocast(self._precision, self._device):
            fake = generator(noise, fake_labels)
            of_real, of_fake = discriminator(self._real), discriminator(fake.detach())
        d_loss = _source(of_real, True) + _source(of_fake, False)
        d_loss = d_loss + F.cross_entropy(of_real[1], self._labels) + F.cross_entropy(of_fake[1], fake_labels)
        d_optimizer.zero_grad(set_to_none=True)
        d_scaler.scale(d_loss).backward()
        d_scaler.step(d_optimizer)
        d_scaler.update()
        self._networks[1].requires_grad_(False)  # G's loss needs no gradient of D's weights
        with network.autocast(self._precision, self._device):
            again = discriminator(fake)
        g_loss = _source(again, True) + F.cross_entropy(again[1], fake_labels)
        g_optimizer.zero_grad(set_to_none=True)
        g_scaler.scale(g_loss).backward()
        g_scaler.step(g_optimizer)
        g_scaler.update()
        self._networks[1].requires_grad_(True)
        return d_loss, g_loss


def _source(heads, real):
    logits = heads[0]
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(real)))
