"""MemoryFormer: a causal language model whose blocks look rows of tables up in place of multiplying (2024, arXiv 2411.12992)."""
