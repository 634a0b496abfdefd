"""Discrete functions learned in context (Bhattamishra et al., ICLR 2024, arXiv:2310.03016), and what is optimal there."""
