"""Late fusion of several channels: each has a belief of its own, and a trained pool weighs them (Tri-modal severity, 2025)."""
