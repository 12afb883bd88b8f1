"""What every network here needs: convolutions, precision, resumable fit, TensorBoard; no network of this field."""
