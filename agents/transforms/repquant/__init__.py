"""RepQuant: quantisers for deployment that equal richer ones by reparameterised norms (Li et al., 2024, arXiv:2402.05628)."""
