"""PaSST: a spectrogram transformer trained with patchout (Koutini et al., arXiv:2110.05069 and 2211.13956)."""
