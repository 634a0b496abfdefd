"""TNT: a transformer over the words of each patch inside one over patches (Han et al., NeurIPS 2021, arXiv:2103.00112)."""
