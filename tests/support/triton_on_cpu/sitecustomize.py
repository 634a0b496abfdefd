"""On PYTHONPATH, has vLLM's CPU build take Triton's interpreter for Triton on CPUs, which it looks for by a backend's name.

So Model Runner V2, whose small kernels are Triton's, runs without a GPU. It runs each program in Python and is for tests alone.
"""

import os
import types

if os.environ.get("TRITON_INTERPRET") == "1":
    import triton.backends

    class _Driver:
        @staticmethod
        def is_active() -> bool:
            return False

    triton.backends.backends.setdefault("cpu", types.SimpleNamespace(driver=_Driver, compiler=None))
