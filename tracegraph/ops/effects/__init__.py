"""Ops that do more than compute: writes to operands, and assertions."""
