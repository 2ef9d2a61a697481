"""LLVM: its assembly as text, compiled and linked in this process."""
