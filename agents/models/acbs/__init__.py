"""The classifier of conditional beam search: trained on a model's own samples (agents/decoding/attributes.py)."""
