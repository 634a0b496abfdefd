"""PUT: what is hidden of a picture, as beliefs over a codebook, patch by patch (Liu et al., CVPR 2022, arXiv:2205.05076)."""
