"""2D Matryoshka sentence embeddings (Li et al., 2024, arXiv:2402.14776): good after any layer, cut to any length."""
