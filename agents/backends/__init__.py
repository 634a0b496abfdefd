"""Backends, one module or package each; nothing here is imported until a backend is asked for by name."""
