"""Documents: a page's lines with their places, told apart by what they say (Ali and Roy, 2023, arXiv:2310.16527)."""
