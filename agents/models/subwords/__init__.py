"""Vocabularies of sub-words chosen by the likelihood of the text that they are learned from (Li, 2024, arXiv:2410.18441)."""
