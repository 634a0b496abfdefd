from kernels.attention.dispatch import vocabulary_attention, vocabulary_partial
from kernels.attention.partial import VocabularyAttention, VocabularyPartial, finish, merge_partials

__all__ = [
    "VocabularyAttention",
    "VocabularyPartial",
    "finish",
    "merge_partials",
    "vocabulary_attention",
    "vocabulary_partial",
]
