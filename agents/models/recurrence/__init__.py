"""Recurrence beyond the window: a causal language model that reads windows, each with one vector of all before it."""
