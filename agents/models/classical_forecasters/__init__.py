"""Forecasters that were there before neural ones: yesterday again, and ridge regression on the window."""
