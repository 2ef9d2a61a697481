"""From a kernel to LLVM text."""
