"""Future Token Prediction: a causal language model whose state at a position has to foretell the next N tokens (2024, arXiv 2410.18160)."""
