"""Top-k thresholding: of each feed-forward layer's activations a token keeps the largest (Li et al., 2022, arXiv:2210.06313)."""
