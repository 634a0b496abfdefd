"""The compiled operators are an accelerator: without a compiler everything still runs and says why."""

import subprocess
import sys

import pytest
import torch

from kernels import (
    ImplementationUnavailable,
    building,
    encoders,
    expected_embedding,
    native,
    nearest_token,
    vocabulary_attention,
)


@pytest.fixture
def fresh_library():
    native._load.cache_clear()
    yield
    native._load.cache_clear()


def test_switched_off(monkeypatch, fresh_library):
    monkeypatch.setenv("CIPHER_DEBATE_NATIVE", "0")
    check_fallbacks("switched off by CIPHER_DEBATE_NATIVE=0")


def test_no_compiler(monkeypatch, fresh_library, tmp_path):
    monkeypatch.setenv("CIPHER_DEBATE_HOME", str(tmp_path))
    monkeypatch.setenv("CXX", "no-such-compiler")
    check_fallbacks("no C\\+\\+ compiler found \\(looked for no-such-compiler\\)")


def test_a_compiler_that_fails(monkeypatch, fresh_library, tmp_path):
    monkeypatch.setenv("CIPHER_DEBATE_HOME", str(tmp_path))
    monkeypatch.setenv("CXX", "false")
    check_fallbacks("false failed")
    assert not list(tmp_path.rglob("*.so"))


def check_fallbacks(reason):
    logits, table = torch.randn(2, 50), torch.randn(50, 8)
    expected_embedding(logits, table)
    vocabulary_attention(torch.randn(2, 8), table)
    vectors = torch.randn(2, 8)
    fast = nearest_token(vectors, table, candidates=torch.tensor([1, 2]))
    assert torch.equal(fast.ids, nearest_token(vectors, table, impl="reference").ids)
    seeds = torch.arange(2)
    for name in encoders.names():
        encoders.get(name).encode(logits, table, temperature=0.7, seeds=seeds, steps=seeds, top=3)
    with pytest.raises(ImplementationUnavailable, match=reason):
        expected_embedding(logits, table, impl="native")
    with pytest.raises(ImplementationUnavailable, match=reason):
        vocabulary_attention(vectors, table, impl="native")
    with pytest.raises(ImplementationUnavailable, match=reason):
        nearest_token(vectors, table, impl="native")
    with pytest.raises(ImplementationUnavailable, match=reason):
        encoders.get("expectation").encode(logits, table, temperature=1.0, seeds=seeds, steps=seeds, impl="native")


def test_built_once_into_the_cache_folder(monkeypatch, fresh_library, tmp_path):
    if native._load()[1]:
        pytest.skip(native._load()[1])
    monkeypatch.setenv("CIPHER_DEBATE_HOME", str(tmp_path))
    built = native._build()
    assert built.parent == building.cache_folder() == tmp_path / "kernels"
    stamp = built.stat().st_mtime_ns
    assert native._build() == built
    assert built.stat().st_mtime_ns == stamp
    assert list(built.parent.iterdir()) == [built]


@pytest.mark.slow
def test_portable_code_gives_the_same_answers(tmp_path):
    """Built for the plainest x86-64, the sources take their paths without AVX-512."""
    if native.refusal():
        pytest.skip(native.refusal())
    script = f"""
import os
os.environ["CIPHER_DEBATE_HOME"] = {str(tmp_path)!r}
import torch
from kernels import native
native._FLAGS[native._FLAGS.index("-march=native")] = "-march=x86-64"
from kernels import expected_embedding, nearest_token, vocabulary_attention
assert native.refusal() is None, native.refusal()
assert not native.library().nearest_has_vnni()
torch.manual_seed(0)
for dtype in (torch.float32, torch.bfloat16):
    logits, table = torch.randn(6, 500) * 3, torch.randn(500, 70).to(dtype)
    hidden = (torch.randn(6, 70) / 4).to(dtype)
    tolerance = dict(rtol=2**-8, atol=1e-3)
    for impl in ("native", "reference"):
        results = (
            expected_embedding(logits, table, 0.8, impl=impl),
            vocabulary_attention(hidden, table, None, 0.8, impl=impl).expectation,
            nearest_token(table[:9] + 0.1, table, impl=impl).ids.float(),
        )
        if impl == "native":
            mine = results
    for a, b in zip(mine, results):
        torch.testing.assert_close(a, b, **tolerance)
"""
    subprocess.run([sys.executable, "-c", script], check=True)
