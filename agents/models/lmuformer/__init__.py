"""LMUFormer: a recurrent classifier with a Legendre memory (Liu et al., ICLR 2024, arXiv:2402.04882)."""
