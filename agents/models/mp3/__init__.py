"""MP3: pretraining by telling where tokens stand, without positions, and a judge of the order of steps (2022, arXiv 2207.07611)."""
