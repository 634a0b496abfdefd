from kernels.nearest.dispatch import Nearest, nearest_token

__all__ = ["Nearest", "nearest_token"]
