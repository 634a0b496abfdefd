"""iTransformer: a forecaster whose tokens are whole variates (Liu et al., ICLR 2024, arXiv:2310.06625)."""
