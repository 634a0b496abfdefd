"""VTrans: heads, units and layers that an information bottleneck finds to say little (Dutta et al., 2024, arXiv:2406.05276)."""
