"""Transformers that are programs by construction (Friedman, Wettig and Chen, NeurIPS 2023, arXiv:2306.01128)."""
