from kernels.expectation.dispatch import (
    SparseExpectation,
    expected_embedding,
    sparse_expected_embedding,
    weighted_rows,
)

__all__ = ["SparseExpectation", "expected_embedding", "sparse_expected_embedding", "weighted_rows"]
