"""Other attention, and other caches, for a model whose weights stay as they are (docs/attention.md)."""
