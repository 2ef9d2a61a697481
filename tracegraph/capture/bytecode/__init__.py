"""CPython's bytecode, in canonical instructions."""
