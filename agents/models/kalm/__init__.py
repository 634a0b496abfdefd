"""KaLM-Embedding-V2 (arXiv:2506.20923, 2025): a causal language model made an encoder of texts."""
