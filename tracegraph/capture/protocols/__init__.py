"""The protocols of CPython on symbolic values: operators, iteration, containers, binding, hashing, copying.

Builtin values run natively: their behaviour is C code over contents the trace owns. Instances of Python classes go
through their special methods, which are inlined.
"""
