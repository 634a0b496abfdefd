"""OPTIN: one-shot pruning by trajectory distillation (Khaki and Plataniotis, ICLR 2024, arXiv:2403.17921)."""
