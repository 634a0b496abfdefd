"""LangSAMP (Liu et al., 2024, arXiv:2409.18199): languages and scripts are told to the head, and so not to the encoder."""
