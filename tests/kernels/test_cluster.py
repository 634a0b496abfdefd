"""Attention over a tied vocabulary by clusters of blocks: its device code as a CPU emulates it, and on a GPU where there is one.

The emulation runs the same source with the documented fragments of the matrix instructions; warps, copies and messages come in an
order drawn from a seed.
"""

import platform
import shutil
from contextlib import contextmanager

import pytest
import torch

from kernels import ImplementationUnavailable, cuda, merge_partials, vocabulary_attention, vocabulary_partial
from kernels.attention import finish
from kernels.errors import InvalidBelief

EMULATED = pytest.param("cpu", id="emulated")
ON_GPU = pytest.param("cuda", id="gpu", marks=pytest.mark.gpu)


@pytest.fixture(params=[EMULATED, ON_GPU])
def device(request, monkeypatch):
    monkeypatch.setenv("CIPHER_DEBATE_CUDA_EMULATION", "0")
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    if reason := cuda.refusal("cluster", torch.empty(0, device=request.param)):
        pytest.skip(reason)
    return request.param


def inputs(rows, vocabulary, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(rows, width, generator=generator) * 2 / width**0.5
    return hidden.bfloat16(), torch.randn(vocabulary, width, generator=generator).bfloat16()


def exact(hidden, table, temperature, scale=1.0, softcap=None, bias=None):
    """Logits [B, V], p, mean, log-sum-exp and entropy in float64; temperature [B], none of them 0."""
    z = hidden.double() @ table.double().T * scale
    if softcap:
        z = softcap * torch.tanh(z / softcap)
    if bias is not None:
        z = z + bias.double()
    log_p = (z / temperature[:, None].double()).log_softmax(-1)
    p = log_p.exp()
    entropy = -(p * log_p.nan_to_num(neginf=0.0)).sum(-1)
    return z, p, p @ table.double(), (z / temperature[:, None].double()).logsumexp(-1), entropy


def check(found, hidden, table, temperature, **options):
    z, p, mean, logsumexp, entropy = exact(hidden, table, temperature, **options)
    near = {"rtol": 2e-5, "atol": 2e-5}
    # The mean is rounded to bf16 once; of weights in two halves nothing else shows.
    torch.testing.assert_close(found.expectation.cpu().double(), mean, rtol=2**-8, atol=2e-5)
    torch.testing.assert_close(found.logsumexp.cpu().double(), logsumexp, **near)
    torch.testing.assert_close(found.max_probability.cpu().double(), p.amax(-1), **near)
    torch.testing.assert_close(found.entropy.cpu().double(), entropy, rtol=2e-5, atol=1e-4)
    best = z.gather(1, found.argmax.cpu()[:, None])[:, 0]
    torch.testing.assert_close(best, z.amax(1), **near)


@pytest.mark.parametrize(
    ("rows", "vocabulary", "width"),
    [(1, 1, 1024), (3, 200, 1024), (16, 253, 2048), (5, 97, 3072)],
    ids=lambda n: str(n),
)
def test_agrees_with_float64(rows, vocabulary, width, device):
    hidden, table = inputs(rows, vocabulary, width)
    temperature = torch.tensor([0.7, 0.05, 1e4, 1.0] * 4)[:rows]
    on = [tensor.to(device) for tensor in (hidden, table)]
    check(vocabulary_attention(*on, None, temperature.to(device), impl="cluster"), hidden, table, temperature)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_in_which_things_happen_changes_no_bit(seed, device, monkeypatch):
    hidden, table = (tensor.to(device) for tensor in inputs(2, 500, 2048))
    expected = vocabulary_partial(hidden, table, None, 0.3, impl="cluster")
    monkeypatch.setenv("CIPHER_DEBATE_CUDA_EMULATION", str(seed))
    found = vocabulary_partial(hidden, table, None, 0.3, impl="cluster")
    for name in ("maximum", "total", "energy", "accumulator", "argmax"):
        assert torch.equal(getattr(found, name), getattr(expected, name)), name


def test_the_part_is_that_of_the_definition(device):
    hidden, table = inputs(6, 180, 1024)
    temperature = torch.tensor([0.0, 0.2, 0.7, 1.0, 3.0, 1e4])
    bias = torch.linspace(-2, 2, 180)
    bias[20:60] = float("-inf")
    options = {"scale": 1.7, "softcap": 2.5, "bias": bias}
    expected = vocabulary_partial(hidden, table, None, temperature, impl="reference", **options)
    on = {**options, "bias": bias.to(device)}
    found = vocabulary_partial(
        hidden.to(device), table.to(device), None, temperature.to(device), offset=1000, impl="cluster", **on
    )
    for name in ("maximum", "total", "energy", "accumulator"):
        mine, wanted = getattr(found, name).cpu(), getattr(expected, name)
        assert mine.dtype == wanted.dtype
        torch.testing.assert_close(mine, wanted, rtol=5e-5, atol=5e-4, msg=lambda text, name=name: f"{name}: {text}")
    assert torch.equal(found.argmax.cpu(), expected.argmax + 1000)
    assert found.top_values.shape == found.top_ids.shape == (6, 0)
    warm = temperature > 0
    whole = vocabulary_attention(
        hidden.to(device), table.to(device), None, temperature.to(device), impl="cluster", **on
    )
    check(
        type(whole)(*(field.cpu()[warm] for field in vars(whole).values())),
        hidden[warm],
        table,
        temperature[warm],
        **options,
    )


def test_logits_that_rise_late_scale_the_sums_down(device):
    """Rising steps below the lazy limit and above it, and a maximum in the last tile."""
    hidden, table = inputs(2, 400, 1024)
    bias = torch.linspace(0, 60, 400)
    bias[399] += 5
    temperature = torch.tensor([1.0, 0.25])
    found = vocabulary_attention(
        hidden.to(device), table.to(device), None, temperature.to(device), bias=bias.to(device), impl="cluster"
    )
    check(found, hidden, table, temperature, bias=bias)
    assert found.argmax.tolist() == [399, 399]


def test_ties_and_temperature_zero(device):
    hidden, table = inputs(4, 500, 1024)
    # In one tile, in one part, in several parts.
    table[35] = table[41] = table[70] = table[450]
    hidden[1:3] = table[450]
    hidden, table = hidden.to(device), table.to(device)
    temperature = torch.tensor([0.0, 0.0, 0.5, 2.0], device=device)
    found = vocabulary_attention(hidden, table, None, temperature, impl="cluster")
    assert found.argmax[1:3].tolist() == [35, 35]
    assert torch.equal(found.expectation[:2], table[found.argmax[:2]])
    assert found.entropy[:2].tolist() == [0, 0]
    assert found.max_probability[:2].tolist() == [1, 1]
    assert torch.isposinf(found.logsumexp[:2]).all()
    assert float(found.max_probability[2]) == pytest.approx(0.25, abs=1e-3)


def test_parts_that_are_masked_and_shards_that_are_merged(device):
    hidden, table = inputs(3, 210, 1024)
    temperature = torch.tensor([0.0, 0.7, 2.0])
    bias = torch.zeros(210)
    bias[:130] = float("-inf")
    on = [tensor.to(device) for tensor in (hidden, table, temperature, bias)]
    whole = vocabulary_attention(on[0], on[1], None, on[2], bias=on[3], impl="cluster")
    shards = [slice(0, 96), slice(96, 160), slice(160, 210)]
    parts = [
        vocabulary_partial(on[0], on[1][s], None, on[2], bias=on[3][s], offset=s.start, impl="cluster") for s in shards
    ]
    assert torch.isneginf(parts[0].maximum).all()
    assert parts[0].argmax.tolist() == [-1] * 3
    assert not parts[0].accumulator.any()
    merged = finish(merge_partials(parts, on[2]), on[2], torch.bfloat16)
    for name in ("expectation", "max_probability", "entropy"):
        torch.testing.assert_close(getattr(merged, name), getattr(whole, name), rtol=2**-8, atol=1e-5)
    assert torch.equal(merged.argmax, whole.argmax)
    assert (whole.argmax >= 130).all()


def test_rows_that_are_no_belief_are_named(device):
    hidden, table = (tensor.to(device) for tensor in inputs(3, 70, 1024))
    with pytest.raises(InvalidBelief, match="nothing but -inf"):
        vocabulary_attention(hidden, table, bias=torch.full((70,), float("-inf"), device=device), impl="cluster")
    hidden[1, 900] = float("nan")
    with pytest.raises(InvalidBelief, match="row 1: NaN"):
        vocabulary_attention(hidden, table, impl="cluster")
    part = vocabulary_partial(hidden, table, impl="cluster")
    assert part.maximum.isnan().tolist() == [False, True, False]
    assert part.accumulator[[0, 2]].isfinite().all()


def test_no_rows(device):
    hidden, table = (tensor.to(device) for tensor in inputs(0, 40, 1024))
    assert vocabulary_attention(hidden, table, impl="cluster").expectation.shape == (0, 1024)


def test_what_it_cannot_do_is_said_and_passed_over(device):
    hidden, table = (tensor.to(device) for tensor in inputs(2, 40, 1024))
    for arguments, options, message in (
        ((hidden.float(), table), {}, "reads bfloat16"),
        ((hidden, table, table.clone()), {}, "one table for keys and values, got two"),
        ((hidden[:, :640], table[:, :640]), {}, "a multiple of 1024 and at most 8192, got 640"),
        ((hidden.repeat(1, 9), table.repeat(1, 9)), {}, "at most 8192, got 9216"),
        ((hidden.repeat(9, 1), table), {}, "at most 16 rows at once, got 18"),
        ((hidden, table), {"top_k": 8}, "top_k must be 0, got 8"),
        ((hidden, table[:0]), {}, "got 0"),
        ((hidden, table[::2]), {}, "rows must follow one another"),
    ):
        with pytest.raises(ImplementationUnavailable, match=message):
            vocabulary_attention(*arguments, impl="cluster", **options)
        if len(arguments[1]):
            vocabulary_attention(*arguments, **options)


def test_the_operator_keeps_torchs_rules(device):
    hidden, table = (tensor.to(device) for tensor in inputs(2, 40, 1024))
    arguments = (hidden, table, None, torch.ones(2, device=device), 1.0, 0.0, None, 0, "cluster")
    checks = ("test_schema", "test_faketensor")
    torch.library.opcheck(torch.ops.cipher_debate.vocabulary_attention.default, arguments, test_utils=checks)


def test_shared_memory_fits_for_every_cluster(device):
    sizes = [cuda.library(torch.device(device)).cluster_attention_shared_bytes(blocks) for blocks in range(1, 9)]
    assert max(sizes) <= 227 * 1024
    # Two tiles are held while they are worked at. Three under way, of 33,024 bytes, are more than a device's latency takes at its
    # rate: 1 us of 36 bytes a nanosecond and block.
    assert min(sizes) >= 5 * 33_024


def test_unasked_it_never_serves_before_a_device_has_timed_it(monkeypatch):
    from kernels.attention import cluster
    from kernels.attention.call import Call

    monkeypatch.delenv("CIPHER_DEBATE_GPU_CLUSTER", raising=False)
    monkeypatch.delenv("CIPHER_DEBATE_CUDA_EMULATION", raising=False)
    hidden, table = inputs(2, 40, 1024)
    with pytest.raises(ImplementationUnavailable, match="it runs on GPUs, got a tensor on cpu"):
        vocabulary_attention(hidden, table, impl="cluster")

    class OnGPU:
        device = torch.device("cuda")

    call = Call(OnGPU, table, table, None, 1.0, 0.0, None, 0)
    assert "no device has timed it" in cluster.refusal("auto", call)


def test_no_compiler_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("CIPHER_DEBATE_HOME", str(tmp_path))
    monkeypatch.setenv("NVCC", "no-such-compiler")
    assert cuda._load.__wrapped__(emulated=False) == (
        None,
        "no CUDA compiler found (looked for no-such-compiler); set NVCC to use another",
    )
    monkeypatch.setenv("NVCC", "false")
    assert "false failed" in cuda._load.__wrapped__(emulated=False)[1]
    assert not list(tmp_path.rglob("*.so"))


def test_a_library_is_of_the_kind_of_processor_and_of_what_nvcc_is_told_beside(monkeypatch, tmp_path):
    """A home may be shared by x86 hosts and Arm ones, whose compilers call themselves the same."""
    compiler = tmp_path / "nvcc"
    compiler.write_text('#!/bin/sh\n[ "$1" = --version ] && exit\nwhile [ "$1" != -o ]; do shift; done\n: > "$2"\n')
    compiler.chmod(0o700)
    monkeypatch.setenv("CIPHER_DEBATE_HOME", str(tmp_path))
    monkeypatch.setenv("NVCC", str(compiler))
    monkeypatch.delenv("NVCC_APPEND_FLAGS", raising=False)
    built = [cuda._build(emulated=False), cuda._build(emulated=False)]
    assert built[0] == built[1]
    monkeypatch.setenv("NVCC_APPEND_FLAGS", "-use_fast_math")
    built.append(cuda._build(emulated=False))
    monkeypatch.setattr(platform, "machine", lambda: "another")
    built.append(cuda._build(emulated=False))
    assert len(set(built)) == 3


def test_the_callers_device_stays_the_current_one_and_queries_lie_where_pairs_are_read(monkeypatch):
    """The library's question how many clusters run at once chooses a device; a view may begin at an odd number."""
    from kernels.attention import cluster

    monkeypatch.setenv("CIPHER_DEBATE_CUDA_EMULATION", "0")
    if reason := cuda.refusal("cluster", torch.empty(0)):
        pytest.skip(reason)
    inside, asked, offsets = [], [], []

    @contextmanager
    def chosen(index):
        inside.append(index)
        yield
        inside.pop()

    def clusters(*_):
        asked.append(list(inside))
        return 1

    def pointer(tensor):
        offsets.append(tensor.data_ptr() % 4)
        return tensor.data_ptr()

    monkeypatch.setattr(cluster, "_clusters", clusters)
    monkeypatch.setattr(cluster, "pointer", pointer)
    monkeypatch.setattr(torch.cuda, "device", chosen)
    hidden, table = inputs(2, 40, 1024)
    odd = torch.cat([hidden.flatten()[:1], hidden.flatten()])[1:].view(2, 1024)
    found = vocabulary_attention(odd, table, impl="cluster")
    assert asked
    assert all(one == [-1] for one in asked)
    assert set(offsets) == {0}
    check(found, hidden, table, torch.ones(2))


def test_a_device_without_room_for_a_cluster_is_passed_over(device, monkeypatch):
    from kernels.attention import cluster

    monkeypatch.setattr(cluster, "_clusters", lambda *_: 0)
    hidden, table = (tensor.to(device) for tensor in inputs(2, 40, 2048))
    with pytest.raises(ImplementationUnavailable, match="runs no cluster of 2 of its blocks"):
        vocabulary_attention(hidden, table, impl="cluster")


def test_clusters_are_timed_where_that_is_asked_for(device, monkeypatch):
    from kernels.attention import bench

    _, table = inputs(1, 90, 1024)
    names = []
    for asked in ("0", "1"):
        monkeypatch.setenv("CIPHER_DEBATE_GPU_CLUSTER", asked)
        case = bench.case("small", table.to(device), 3, [], compiled=False)
        names.append(list(case.runs))
        case.check()
    assert names == [["eager"], ["cluster", "eager"]]


@pytest.mark.long
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        # A message overwrites what a slow warp has still to read; so do a warp's sums, and a copy.
        ("SLOTS = 4", "SLOTS = 3"),
        ("shared.by_warp + t % 2 *", "shared.by_warp + 0 *"),
        ("next = t - 2 + call.stages", "next = t - 1 + call.stages"),
        # Nobody waits for a copy, or for a message.
        ("sm::barrier_wait(&shared.loaded[scored.stage], scored.parity);", ""),
        ("sm::barrier_wait(&shared.arrived[before % SLOTS], before / SLOTS % 2);", ""),
        # Registers of a fragment change places, one half of the weights is lost, a matrix is not transposed.
        ("keys[0], keys[1])", "keys[0], keys[2])"),
        ("sm::multiply(sums[2 * n], low, values[0], values[1]);", ""),
        ("sm::load_transposed(values", "sm::load_matrices(values"),
    ],
)
def test_the_emulation_finds_what_is_wrong(right, wrong, tmp_path, monkeypatch):
    if reason := cuda._load(emulated=True)[1]:
        pytest.skip(reason)
    sources = tmp_path / "sources"
    shutil.copytree(cuda._SOURCES, sources)
    text = (sources / "attend.h").read_text()
    assert text.count(right) == 1
    (sources / "attend.h").write_text(text.replace(right, wrong))
    monkeypatch.setenv("CIPHER_DEBATE_HOME", str(tmp_path))
    monkeypatch.setattr(cuda, "_SOURCES", sources)
    monkeypatch.setattr(cuda, "_SOURCE", sources / "attention.cu")
    broken = cuda._load.__wrapped__(emulated=True)
    monkeypatch.setattr(cuda, "_load", lambda *, emulated: broken)
    hidden, table = inputs(2, 1500, 2048)
    expected = vocabulary_partial(hidden, table, impl="reference")
    for seed in range(6):
        monkeypatch.setenv("CIPHER_DEBATE_CUDA_EMULATION", str(seed))
        try:
            found = vocabulary_partial(hidden, table, impl="cluster")
        except RuntimeError as error:
            if "stuck in attend" not in str(error):
                raise
            return
        mean, wanted = (part.accumulator / part.total[:, None].float() for part in (found, expected))
        if not bool(((mean - wanted).abs() < 1e-4).all()):
            return
    pytest.fail("what is wrong shows in none of six orders")
