"""A frozen table of characters' pictures under a language model (Bochkov, 2025, arXiv:2507.04886)."""
