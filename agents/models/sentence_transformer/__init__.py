"""Any model of the library sentence-transformers (Reimers and Gurevych, 2019, arXiv:1908.10084)."""
