"""The U-Net: network, weights, losses, training, scoring, export."""
