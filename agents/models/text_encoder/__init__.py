"""A classifier of texts made of any encoder of the family: WideNet (arXiv 2107.11817), wide attention (arXiv 2210.00640)."""
