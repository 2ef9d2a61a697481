"""Ops that make one element of many: sums, extrema, statistics, and their running forms."""
