"""Models that hold a belief without being language models: one package a paper, each registered by its card."""
