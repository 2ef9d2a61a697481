"""What happens at a call: compiled graphs on tensors, with aliasing, mutation and the tape around native code."""
