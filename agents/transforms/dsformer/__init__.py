"""DSFormer: dense-sparse factors in place of weights (Chand et al., 2023, arXiv:2312.13211), and an SVD of equal bytes."""
