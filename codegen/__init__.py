"""Kernels: loop IR, schedules and LLVM (installed as `tracegraph.codegen`; must not know ops or passes)."""
