"""What agents that hear share: sound at their rate, names of classes, beliefs from scores, and the spoken digits' recipe."""
