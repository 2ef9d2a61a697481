"""Ops that show or copy elements in another shape or order: views, joining, padding, repeating."""
