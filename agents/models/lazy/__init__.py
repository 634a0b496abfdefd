"""Lazy neurons: a network with ReLUs whose activations get sparser in training, and the same with the k largest alone."""
