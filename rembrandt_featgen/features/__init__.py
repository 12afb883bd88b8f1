"""Features of slices: from a block of the U-Net or from crops of the tumour; read, scaled and streamed."""
