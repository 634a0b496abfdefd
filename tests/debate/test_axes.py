"""Axes of operators: what is declared is what they compute, batches are carried past, and the page shows what is drawn."""

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.contracts import CONTRACTS

import kernels
from agents.beliefs.belief import Belief
from agents.beliefs.cards import GROUP, card
from agents.errors import ConfigError, RequestError, UnknownName
from agents.models.in_context.config import LearnerConfig
from agents.models.in_context.looped import LoopedConfig, LoopedLearner
from agents.models.in_context.model import Learner
from agents.registry import names
from debate.axes.declared import LOOKED_AT, Declared, distinct, operator, operators, table
from debate.axes.drawing import drawing
from debate.axes.laws import Differences, differences, of_beliefs, results
from debate.axes.signature import Signature
from kernels import encoders
from kernels.attention.partial import VocabularyPartial
from kernels.content.controls import controlled_vectors

ROOT = Path(__file__).resolve().parents[2]
KERNELS = [name for name in operators() if ":" not in name]
# float32 sums of tens of numbers of size 1, in another order where a batch has another size.
CLOSE = 1e-5
NOWHERE = Differences(0.0, 0.0)


# --- what operators take, by name


def numbers(seed, **shapes):
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def inputs_of(name, seed=0, rows=4):
    tokens, width, other = 9, 6, 3
    found = numbers(
        seed,
        logits=(rows, tokens),
        table=(tokens, other if name.startswith("vocabulary") else width),
        hidden=(rows, width),
        head=(tokens, width),
        vectors=(rows, width),
        weights=(rows, tokens),
    )
    found["weights"] = found["weights"].exp()
    found["temperature"] = torch.linspace(0.5, 1.5, rows)
    found["seeds"], found["steps"] = torch.arange(rows) + 7, torch.arange(rows) % 3
    if name == "merge_partials":
        parts = [
            kernels.vocabulary_partial(
                found["hidden"],
                found["head"][low : low + 3],
                found["table"][low : low + 3],
                found["temperature"],
                top_k=2,
                offset=low,
            )
            for low in (0, 3, 6)
        ]
        wires = [wire.name for wire in operator(name).signature.inputs[:-1]]
        found = {wire: torch.stack([getattr(part, wire) for part in parts]) for wire in wires} | {
            "temperature": found["temperature"]
        }
    return {wire.name: found[wire.name] for wire in operator(name).signature.inputs}


def function_of(name):
    if name.startswith("encoder:"):
        return lambda **given: encoders.get(name.partition(":")[2]).encode(**given, top=3)
    if name == "controlled_vectors":
        rule = encoders.get("expectation")
        return lambda **given: controlled_vectors("shuffled-tail", rule, **given)
    if name == "merge_partials":
        return lambda temperature, **given: kernels.merge_partials(
            [VocabularyPartial(**{wire: every[p] for wire, every in given.items()}) for p in range(3)], temperature
        )
    if name.startswith("vocabulary"):
        return lambda **given: getattr(kernels, name)(**given, top_k=2)
    return getattr(kernels, name)


@pytest.mark.parametrize("name", [*KERNELS, *(name for name in operators() if name.startswith("encoder:"))])
def test_a_batch_is_carried_past_an_operator(name):
    """Each row, and for what is linear in its table each column, alone gives what all give; so does another order."""
    declared = operator(name)
    for seed, rows in ((0, 4), (1, 2)):
        inputs = inputs_of(name, seed, rows)
        for axis in declared.over:
            found = differences(function_of(name), declared.signature, inputs, axis)
            assert max(found.alone, found.reordered) < CLOSE, axis


def test_every_public_operator_is_declared_once():
    public = {name for name in kernels.__all__ if callable(getattr(kernels, name)) and name[0].islower()}
    assert public <= set(KERNELS)
    assert {name.partition(":")[2] for name in operators() if name.startswith("encoder:")} == set(encoders.names())
    assert {name.partition(":")[2] for name in operators() if name.startswith("belief:")} == set(names(GROUP))
    for name in KERNELS:
        module, _, attribute = operator(name).path.partition(":")
        assert callable(getattr(__import__(module, fromlist=[attribute]), attribute))


def test_a_vocabulary_is_not_carried_past():
    """What is normalised over an axis mixes it: a token alone would have all of the belief."""
    signature = Signature.parse("logits: b v -> b v")
    found = differences(lambda logits: logits.softmax(-1), signature, numbers(0, logits=(3, 5)), "v")
    assert found.alone > 0.5
    assert found.reordered < CLOSE


# --- operators that mix a batch


class BatchMixer(torch.nn.Module):
    """Self-attention over the rows of a batch (BatchFormer's, Hou et al., 2022, without its two streams)."""

    def __init__(self):
        super().__init__()
        self.attention = torch.nn.MultiheadAttention(6, 2, batch_first=True)

    def forward(self, x):
        if not self.training:
            return x
        return x + self.attention(x[None], x[None], x[None])[0][0]


@pytest.mark.parametrize("make", [lambda: torch.nn.BatchNorm1d(6), BatchMixer], ids=["statistics", "attention"])
def test_what_mixes_a_batch_breaks_the_law_in_training_and_not_in_use(make):
    torch.manual_seed(0)
    model, signature = make(), Signature.parse("x: b d -> b d")
    inputs = numbers(0, x=(4, 6))

    def ask(x):
        # Of one row batch statistics are refused, which is a difference too.
        try:
            return model(x)
        except ValueError:
            return torch.full_like(x, math.nan)

    model.train()
    broken = differences(ask, signature, inputs, "b")
    assert broken.alone > 0.01
    # Reordering alone does not find it: both are symmetric in the rows.
    assert broken.reordered < CLOSE
    model.eval()
    kept = differences(ask, signature, inputs, "b")
    assert max(kept.alone, kept.reordered) < CLOSE


def test_beliefs_that_depend_on_company_are_found():
    contract = CONTRACTS["in-context-ridge"]
    backend, cases = contract.make(Path("unused")), contract.cases()
    assert of_beliefs(backend.believe, cases) == NOWHERE

    def beside(given):
        sure = backend.believe(given)
        return [Belief.of(one.labels, [p + len(given) for p in one.probabilities]) for one in sure]

    assert of_beliefs(beside, cases).alone > 0.01
    assert of_beliefs(beside, cases).reordered == 0
    assert of_beliefs(lambda given: [Belief.abstain("AB", f"{len(given)}") for _ in given], cases).alone == math.inf


@pytest.mark.parametrize("name", ["in-context-learner", "functions-learner", "programs"])
def test_a_belief_has_the_axes_that_are_declared(name, tmp_path):
    contract = CONTRACTS[name]
    backend, declared = contract.make(tmp_path), operator(f"belief:{contract.backend}")
    beliefs = backend.believe(contract.cases())
    for case, belief in zip(contract.cases(), beliefs, strict=True):
        seen = case.observation(backend.modality)
        shape = [1, *(seen.values.shape if hasattr(seen, "values") else [len(seen.text.split())])]
        sizes = declared.signature.check({declared.signature.inputs[0].name: shape}, {"": [1, len(belief.labels)]})
        assert sizes["l'"] == len(belief.probabilities)
    assert set(LOOKED_AT) >= {card(each).modality for each in names(GROUP)}


def test_a_belief_about_a_sequence_has_its_positions_too(tmp_path):
    contract = CONTRACTS["cass-nat"]
    backend, declared = contract.make(tmp_path), operator("belief:cass_nat")
    cases = contract.cases()
    for case, belief in zip(cases, backend.believe(cases), strict=True):
        shape = [1, len(case.observation("audio").samples)]
        rows = [1, len(belief.positions), len(belief.labels)]
        assert declared.signature.check({"samples": shape}, {"": rows})["u'"] == len(belief.positions) > 0
    assert of_beliefs(backend.believe, cases) == NOWHERE

    def shorter(given):
        found = backend.believe(given)
        return [replace(one, positions=one.positions[:1]) for one in found] if len(given) == 1 else found

    assert of_beliefs(shorter, cases).alone == math.inf


# torch has no rule for attention under vmap yet, and says that the loop in its place is slow.
@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize(("make", "config"), [(Learner, LearnerConfig), (LoopedLearner, LoopedConfig)])
def test_a_network_under_vmap_is_the_network_on_a_batch(make, config):
    torch.manual_seed(0)
    learner = make(config(("noisy",), width=16, heads=2, points=6, dims=3)).eval()
    x, y = numbers(0, x=(5, 6, 3), y=(5, 6)).values()
    signature = Signature.parse("x: b k d, y: b k -> mean: b k, log_variance: b k")

    def alone(x, y):
        said = learner(x[None], y[None])
        return said.mean[0], said.log_variance[0]

    with torch.no_grad():
        mapped = torch.func.vmap(alone)(x, y)
        whole = results(learner, signature, {"x": x, "y": y})
        found = differences(learner, signature, {"x": x, "y": y}, "b")
    assert max(found.alone, found.reordered) < CLOSE
    assert torch.allclose(mapped[0], whole["mean"], atol=CLOSE)
    assert torch.allclose(mapped[1], whole["log_variance"], atol=CLOSE)


# --- what wires may do


def attention(q, k, v):
    """Attention of heads as products of tensors: the axes say all of it."""
    scores = torch.einsum("byhd,bxhd->bhyx", q, k) / math.sqrt(q.shape[-1])
    return torch.einsum("bhyx,bxhd->byhd", scores.softmax(-1), v)


def test_attention_is_three_products_over_axes():
    q, k, v = numbers(0, q=(2, 5, 3, 4), k=(2, 7, 3, 4), v=(2, 7, 3, 4)).values()
    q, k, v = (each.double() for each in (q, k, v))
    wanted = torch.nn.functional.scaled_dot_product_attention(*(each.transpose(1, 2) for each in (q, k, v)))
    assert torch.allclose(attention(q, k, v), wanted.transpose(1, 2), atol=1e-6, rtol=0)
    out = torch.randn(3, 4, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    # The third: heads are joined by one product, and it may be slid before the sum over x.
    joined = torch.einsum("byhd,hde->bye", attention(q, k, v), out)
    scores = (torch.einsum("byhd,bxhd->bhyx", q, k) / 2).softmax(-1)
    slid = torch.einsum("bhyx,bxhe->bye", scores, torch.einsum("bxhd,hde->bxhe", v, out))
    assert torch.allclose(joined, slid, atol=1e-12)
    # Batch, heads and queries are carried past; keys are not.
    signature = Signature.parse("q: b y h d, k: b x h d, v: b x h d -> b y h d")
    for axis in "byh":
        found = differences(attention, signature, {"q": q, "k": k, "v": v}, axis)
        assert max(found.alone, found.reordered) < 1e-12
    keys = Signature.parse("k: b x h d, v: b x h d -> b x h d")
    found = differences(lambda k, v: attention(k, k, v), keys, {"k": k, "v": v}, "x")
    assert found.alone > 0.01


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))
def test_linear_maps_slide_past_each_other(seed, rows, width, height):
    generator = torch.Generator().manual_seed(seed)
    x, left, right = (
        torch.randn(shape, generator=generator, dtype=torch.float64)
        for shape in ((rows, width, height), (rows, 3), (height, 5))
    )
    one = torch.einsum("byi,bk->kyi", torch.einsum("byx,xi->byi", x, right), left)
    other = torch.einsum("kyx,xi->kyi", torch.einsum("byx,bk->kyx", x, left), right)
    assert torch.allclose(one, other, atol=1e-12)
    assert torch.allclose(one, torch.einsum("byx,bk,xi->kyi", x, left, right), atol=1e-12)


# --- signatures

AXIS = st.text("abcxyz", min_size=1, max_size=3)


@given(st.lists(st.lists(AXIS, max_size=4), min_size=1, max_size=4), st.lists(st.integers(0, 3), max_size=3))
def test_a_signature_is_read_as_it_is_written(inputs, kept):
    known = [axis for axes in inputs for axis in axes]
    result = [known[place % len(known)] for place in kept] if known else []
    text = ", ".join(f"in{place}: {' '.join(axes)}" for place, axes in enumerate(inputs)) + f" -> {' '.join(result)}"
    found = Signature.parse(text)
    assert Signature.parse(str(found)) == found
    assert [wire.axes for wire in found.inputs] == [tuple(axes) for axes in inputs]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("b v", "a signature is NAME: AXES"),
        ("b v -> b d", "a signature is NAME: AXES"),
        ("x: b, x: b -> b", "a signature is NAME: AXES"),
        ("x: b -> b, b", "several results with a name each"),
        ("x: b -> b k", "axis 'k' of a result is none of the inputs'; write k'"),
    ],
)
def test_what_is_no_signature_is_a_sentence(text, sentence):
    with pytest.raises(ConfigError, match=sentence):
        Signature.parse(text)


def test_shapes_are_held_against_a_signature():
    signature = Signature.parse("logits: b v, table: v d, temperature: -> b d")
    assert signature.check({"logits": [2, 3], "table": [3, 4], "temperature": []}, {"": [2, 4]}) == {
        "b": 2,
        "v": 3,
        "d": 4,
    }
    with pytest.raises(RequestError, match=r"axis v is 3 elsewhere and 5 in table, shape \[5, 4\]"):
        signature.check({"logits": [2, 3], "table": [5, 4]}, {})
    with pytest.raises(RequestError, match=r"the result has the axes \[b d\]; got the shape \[2\]"):
        signature.check({"logits": [2, 3]}, {"": [2]})
    with pytest.raises(ConfigError, match="no input has the axis 'q'; there are b, v, d"):
        Declared("mine", "mine:mine", signature, ("q",))
    with pytest.raises(UnknownName, match="unknown operator 'expected_embeding'.*Did you mean"):
        operator("expected_embeding")
    # An operator that does not do what is declared is found as well.
    wrong = Signature.parse("x: b d -> d b")
    with pytest.raises(RequestError, match="axis d is"):
        differences(lambda x: x, wrong, numbers(0, x=(2, 3)), "b")


# --- the command and its page


def test_the_code_of_the_page_runs():
    page = (ROOT / "docs" / "axes.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(block, {})


def test_the_page_has_what_the_command_prints(cli, tmp_path):
    code, printed, _ = cli("axes")
    assert code == 0
    assert printed == table(distinct(list(operators().values())))
    assert printed in (ROOT / "docs" / "axes.md").read_text(encoding="utf-8")
    assert cli("axes", "--out", tmp_path / "axes.svg")[0] == 0
    drawn = (tmp_path / "axes.svg").read_text(encoding="utf-8")
    assert drawn == (ROOT / "docs" / "images" / "axes.svg").read_text(encoding="utf-8")
    assert cli("axes", "encoder:topk", "--out", tmp_path / "one" / "topk.md")[0] == 0
    assert "| encoder:topk | `logits: b v" in (tmp_path / "one" / "topk.md").read_text()
    code, _, err = cli("axes", "--out", tmp_path / "axes.png")
    assert code == 2
    assert "--out is a file .svg or .md" in err


def test_a_wire_that_is_carried_past_goes_over_the_box():
    drawn = drawing([operator("nearest_token")])
    box = float(drawn.split('<rect x="290" y="')[1].split('"')[0])
    over = [line for line in drawn.splitlines() if 'stroke="#0072B2"' in line]
    # Of vectors, ids, cosine and margin, and the lane itself.
    assert len(over) == 5
    assert all(float(line.split('y1="')[1].split('"')[0]) < box for line in over if line.startswith("<line"))
    inside = [line for line in drawn.splitlines() if 'stroke="#444444" stroke-width="1.2"' in line]
    assert len(inside) == 3
    assert all(float(line.split('y1="')[1].split('"')[0]) > box for line in inside)
    assert drawing([operator("nearest_token")]) == drawn


def test_laws_are_about_an_axis_that_goes_in_and_comes_out_and_has_two_indices():
    with pytest.raises(ConfigError, match="no result has the axis 'b'"):
        differences(lambda x: x.sum(0), Signature.parse("x: b d -> d"), numbers(0, x=(3, 2)), "b")
    for rows in (0, 1):
        with pytest.raises(RequestError, match=f"two indices of it or more; b has {rows}"):
            differences(lambda x: x, Signature.parse("x: b d -> b d"), numbers(0, x=(rows, 2)), "b")


def test_a_result_without_the_axis_must_not_depend_on_it():
    signature = Signature.parse("x: b d -> same: b d, total: d")
    found = differences(lambda x: {"same": x, "total": x.sum(0)}, signature, numbers(0, x=(3, 2)), "b")
    assert found.alone > 0.1
