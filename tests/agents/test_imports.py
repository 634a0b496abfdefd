"""The folder names also belong to packages on PyPI; what that asks of ours."""

import subprocess
import sys

import pytest


# The last two are what each process on Ray, and each of vLLM's, would otherwise import an engine for.
@pytest.mark.parametrize(
    "package",
    ["agents", "debate", "evals", "kernels", "debate.cli", "agents.backends.vllm", "debate.runtime.ray.packages"],
)
def test_importing_a_package_is_light(package):
    code = f"import sys, {package}; sys.exit(bool({{'torch', 'triton', 'transformers'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("package", ["agents", "kernels"])
def test_shared_names_carry_no_version(package):
    assert not hasattr(__import__(package), "__version__")


@pytest.mark.parametrize("package", ["agents", "debate", "evals", "kernels"])
def test_exported_names_exist(package):
    module = __import__(package)
    assert module.__all__ == sorted(module.__all__)
    for name in module.__all__:
        assert getattr(module, name) is not None
    with pytest.raises(AttributeError):
        module.no_such_name  # noqa: B018
