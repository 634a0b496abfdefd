"""Texts said all at once by a model whose encoder and decoder both began as one masked language model."""
