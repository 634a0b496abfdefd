"""TransKD: a small segmenter taught by a large one, by its features and its patches (Liu et al., 2022, arXiv:2202.13393)."""
