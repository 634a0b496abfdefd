"""One family of encoders in which attention, feed-forward, norms, sharing and aspect ratio are choices."""
