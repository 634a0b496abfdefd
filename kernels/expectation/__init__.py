from kernels.expectation.dispatch import SparseExpectation, expected_embedding, sparse_expected_embedding

__all__ = ["SparseExpectation", "expected_embedding", "sparse_expected_embedding"]
