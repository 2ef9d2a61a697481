"""Graphs as functions of tensors: recording them, one inside another, running them, and their backward passes."""
