"""The model ports of `examples/models/`: what they capture as, and that compiled they compute what they do eagerly."""
