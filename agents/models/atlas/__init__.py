"""ATLAS: a causal language model whose blocks write into a memory while they read (2025, arXiv 2505.23735)."""
