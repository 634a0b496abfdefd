"""AxFormer: what a model does better without is taken away, one part after the other (Nagarajan et al., 2020, arXiv:2010.03688)."""
