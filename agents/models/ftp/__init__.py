"""Future Token Prediction: a causal language model that foretells N tokens of one state (Walker, 2024, arXiv 2410.18160)."""
