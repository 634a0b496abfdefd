"""A causal language model whose heads can hear nothing, by a clipped softmax or by gates, and that can be rounded later."""
