"""Ops that read and write at positions: slices, index tensors, gather and scatter, masks."""
