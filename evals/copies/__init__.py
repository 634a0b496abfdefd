"""Transformed copies of a model: what they believe, answer, and say to a partner (docs/transforms.md)."""
