"""The arithmetic below the ops: scalar handlers, special functions and random bits on numpy arrays."""
