"""Tiny debaters trained from scratch: tokenizer, data in the prompts of the protocol, recipe, card."""
