"""What makes samples: classical resamplers and GANs, with their networks, losses and export."""
