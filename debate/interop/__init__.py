"""Debates inside other programs: what they load of us, and what we hand to them (docs/serving.md)."""
