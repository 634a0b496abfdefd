"""On PYTHONPATH, has vLLM's CPU build take Triton's interpreter for Triton on CPUs, which it looks for by a backend's name.

So Model Runner V2, whose small kernels are Triton's, runs without a GPU. It runs each program in Python and is for tests alone.
vLLM's kernel for top-k and top-p does not run through the interpreter: vLLM's own definition of it in PyTorch stands in.
"""

import importlib.util
import os
import sys
import types

if os.environ.get("TRITON_INTERPRET") == "1":
    import triton.backends

    class _Driver:
        @staticmethod
        def is_active() -> bool:
            return False

    triton.backends.backends.setdefault("cpu", types.SimpleNamespace(driver=_Driver, compiler=None))

    RESTRICTS = "vllm.v1.sample.ops.topk_topp_sampler"

    class _WithoutItsKernel:
        """Finds one module, and has it find no Triton once it is loaded."""

        def find_spec(self, name, path=None, target=None):
            if name != RESTRICTS:
                return None
            sys.meta_path.remove(self)
            found = importlib.util.find_spec(name)
            load = found.loader.exec_module

            def loaded(module):
                load(module)
                assert module.HAS_TRITON
                module.HAS_TRITON = False

            found.loader.exec_module = loaded
            return found

    sys.meta_path.insert(0, _WithoutItsKernel())
