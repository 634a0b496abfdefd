"""Backends that hold a belief over labels: the interface, its cards, pooling, and saying a belief in tokens."""
