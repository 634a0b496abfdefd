"""SeqPE: positions read as digits, in a small causal family that may have others in their place (2025, arXiv 2506.13277)."""
