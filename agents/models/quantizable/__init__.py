"""A causal language model whose heads can hear nothing, by a clipped softmax or by gates, and which can be rounded after training."""
