"""MP3: pretraining by telling where tokens stand, without positions, and a judge of the order of steps (arXiv 2207.07611)."""
