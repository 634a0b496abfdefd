from kernels.attention.dispatch import (
    VocabularyAttention,
    VocabularyPartial,
    merge_partials,
    vocabulary_attention,
    vocabulary_partial,
)

__all__ = ["VocabularyAttention", "VocabularyPartial", "merge_partials", "vocabulary_attention", "vocabulary_partial"]
