"""Quantisation after training with one range for a whole tensor, of the lowest and the highest number that was seen."""
