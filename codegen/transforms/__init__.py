"""Loop transformations: one file each, a function of a kernel and a loop that gives a kernel.

Each shows itself as before --> after and refuses with an IRError what it cannot prove legal.
"""
