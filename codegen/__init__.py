"""Native code generation: the loop IR, its schedules, and the in-process LLVM backend.

Kernels come in as loop IR (`loop_ir`), are scheduled (`schedule`), emitted as LLVM text (`emit`), compiled
and loaded (`jit`). Nothing here knows tensors, ops, autograd or capture. Importing this package does not
import llvmlite; only `jit` does.
"""
