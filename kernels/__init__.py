"""The operators over a vocabulary and the encoders built on them.

Names are resolved on first use, so that `import kernels` costs nothing and imports neither torch nor triton: transformers
looks for a package of this name when it loads, and has to find one without a version and without side effects.
"""

from typing import TYPE_CHECKING

from kernels.lazy import lazy_names

if TYPE_CHECKING:
    from kernels import encoders as encoders
    from kernels.attention import VocabularyAttention as VocabularyAttention
    from kernels.attention import merge_partials as merge_partials
    from kernels.attention import vocabulary_attention as vocabulary_attention
    from kernels.attention import vocabulary_partial as vocabulary_partial
    from kernels.errors import ImplementationUnavailable as ImplementationUnavailable
    from kernels.expectation import expected_embedding as expected_embedding
    from kernels.expectation import sparse_expected_embedding as sparse_expected_embedding
    from kernels.expectation import weighted_rows as weighted_rows
    from kernels.nearest import nearest_token as nearest_token
    from kernels.table import EmbeddingTable as EmbeddingTable

__all__, __getattr__, __dir__ = lazy_names(
    __name__,
    {
        "EmbeddingTable": "kernels.table",
        "ImplementationUnavailable": "kernels.errors",
        "VocabularyAttention": "kernels.attention",
        "encoders": "kernels.encoders",
        "expected_embedding": "kernels.expectation",
        "merge_partials": "kernels.attention",
        "nearest_token": "kernels.nearest",
        "sparse_expected_embedding": "kernels.expectation",
        "vocabulary_attention": "kernels.attention",
        "vocabulary_partial": "kernels.attention",
        "weighted_rows": "kernels.expectation",
    },
)
