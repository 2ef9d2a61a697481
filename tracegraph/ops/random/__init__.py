"""Random tensors: the generator, the bits, and the distributions made of them."""
