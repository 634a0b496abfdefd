"""PLUTO: one vision transformer for patches of several sizes, taught by itself (Juyal et al., 2024, arXiv:2405.07905)."""
