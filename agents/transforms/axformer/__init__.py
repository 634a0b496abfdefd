"""AxFormer: what a model does better without is taken away part by part (Nagarajan et al., 2020, arXiv:2010.03688)."""
