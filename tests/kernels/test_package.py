"""What importing the package does and does not do."""

import subprocess
import sys

import pytest

import kernels
from kernels import errors
from kernels.lazy import lazy_names


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, kernels; heavy = {'torch', 'triton', 'transformers'} & set(sys.modules); "
        "assert not heavy, heavy; assert not hasattr(kernels, '__version__')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", kernels.__all__)
def test_every_exported_name_resolves(name):
    assert getattr(kernels, name) is getattr(kernels, name)
    assert name in dir(kernels)


def test_names_stay_what_they_are_after_their_modules_are_imported():
    import kernels.attention.reference
    import kernels.expectation.reference
    import kernels.nearest.reference

    assert callable(kernels.expected_embedding)
    assert callable(kernels.vocabulary_attention)
    assert callable(kernels.nearest_token)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        kernels.nothing  # noqa: B018


def test_a_public_name_is_found_where_it_lives_and_no_other_is():
    public, find, listed = lazy_names("kernels", {"InvalidBelief": "kernels.errors", "errors": "kernels.errors"})
    assert public == listed() == ["InvalidBelief", "errors"]
    assert find("InvalidBelief") is errors.InvalidBelief
    assert find("errors") is errors
    with pytest.raises(AttributeError, match="module 'kernels' has no attribute 'nope'"):
        find("nope")
