"""AxFormer: the rule and the order of its search by their definition, hard attention, and removal of what is switched off."""

import json
import math

import pytest
import torch
from support.minds import assert_hears_alone_as_in_company, assert_says_what_a_plain_loop_says
from support.small_subjects import FAMILIES, IDS, logits, subject
from transformers import AutoModelForCausalLM, GPT2Config

from agents import pretrained
from agents.attention.hard import Hard
from agents.backends.transformers.model import LoadedModel
from agents.errors import ConfigError, ModelError
from agents.tokenizers import byte_tokenizer
from agents.transforms.axformer import transform
from agents.transforms.axformer.model import MODELS, HardLlamaConfig, HardLlamaForCausalLM, harden
from agents.transforms.axformer.passes import Passes, units_of
from agents.transforms.axformer.search import Accept, Specialised, Switches, drawn, specialise
from agents.transforms.axformer.texts import split_texts
from agents.transforms.axformer.transform import axformer
from agents.transforms.counted import kept_share
from agents.transforms.optin.transform import optin
from agents.transforms.subject import Subject

QUICK = {"rows": 4, "untouched": 3, "length": 40, "calibration": "sums", "groups": 3, "keys": 4}
WHOLE = Switches.whole(3, 2, 4)
SLICES = [slice(0, 3), slice(3, 6), slice(6, 8), slice(8, 10)]


def test_a_change_is_accepted_by_the_mean_and_by_more_than_half_of_the_samples():
    base = torch.tensor([1.0, 1.0, 1.0, 1.0])
    # The mean falls, but two of four samples is not more than half.
    assert not Accept(base)(torch.tensor([0.1, 0.1, 1.1, 1.1]))
    # Most samples gain nothing and lose nothing; what is equal counts as no worse, but the mean has to fall.
    assert not Accept(base)(base)
    assert Accept(base)(torch.tensor([0.9, 1.0, 1.0, 1.1 - 1e-3]))
    assert not Accept(base)(torch.tensor([math.nan, 0.1, 0.1, 0.1]))
    # Means are compared with the lowest so far, samples always with those of the model as it was.
    rule = Accept(base)
    assert rule(torch.tensor([0.5, 0.5, 0.5, 0.5]))
    assert not rule(torch.tensor([0.6, 0.6, 0.6, 0.6]))
    assert rule(torch.tensor([0.9, 0.9, 0.1, 0.0]))
    # Of an odd number half is rounded down, as in the published code: two of three.
    assert Accept(base[:3])(torch.tensor([0.1, 0.9, 1.2]))


def test_slack_lets_the_loss_rise_to_a_bound_that_stays():
    rule = Accept(torch.ones(4), slack=0.1)
    for loss in (1.05, 1.09, 1.02):
        assert rule(torch.full((4,), loss))
    assert not rule(torch.full((4,), 1.1001))
    assert rule.limit == pytest.approx(1.1)


def additive(seed, samples=9):
    """Return losses that each switch changes by a number a sample of its own, with a little between neighbours."""
    draw = torch.Generator().manual_seed(seed)
    effects = {
        name: torch.randn(*getattr(WHOLE, name).shape, samples, generator=draw, dtype=torch.float64) * 0.1
        for name in ("hard", "attention", "feed_forward", "heads", "units")
    }
    base = 1 + torch.rand(samples, generator=draw, dtype=torch.float64)

    def losses(switches):
        found, kinds = base.clone(), {"hard": switches.hard, "attention": ~switches.attention}
        kinds |= {"feed_forward": ~switches.feed_forward, "heads": ~switches.heads, "units": ~switches.units}
        for name, gone in kinds.items():
            found += (effects[name] * gone[..., None]).flatten(0, -2).sum(0)
        return found + 0.03 * (~switches.attention & ~switches.feed_forward).sum()

    return losses


def by_definition(losses):
    """The published order with lists of what went, written anew: returns the trials and the lists."""
    lists = {"hard": [], "feed_forward": [], "attention": [], "units": [], "heads": []}

    def evaluated():
        now = WHOLE
        for kind, places in lists.items():
            for place in places:
                now = now.turned(kind, *place)
        return losses(now)

    base = evaluated()
    lowest, least, trials = base.mean(), len(base) // 2, []

    def tried(kind, *place):
        nonlocal lowest
        lists[kind].append(place)
        found = evaluated()
        fits = bool(found.mean() < lowest and (found <= base).sum() > least)
        trials.append((kind, *place, fits))
        if fits:
            lowest = found.mean()
        else:
            lists[kind].remove(place)
        return fits, found.mean()

    for layer in range(3):
        tried("hard", layer)
    for layer in (2, 1, 0):
        for block, parts, count in (("feed_forward", "units", 4), ("attention", "heads", 2)):
            fits, loss = tried(block, layer)
            if not fits and loss < 1.1 * lowest:
                for part in range(count):
                    tried(parts, layer, part)
    return trials, lists


@pytest.mark.parametrize("seed", range(6))
def test_the_search_takes_its_steps_in_the_published_order(seed):
    losses = additive(seed)
    trials, lists = by_definition(losses)
    found = specialise(losses, WHOLE)
    made = [
        (each.kind, each.layer, *(() if each.part is None else (each.part,)), each.accepted) for each in found.trials
    ]
    assert made == trials
    want = WHOLE
    for kind, places in lists.items():
        for place in places:
            want = want.turned(kind, *place)
    assert found.switches.same(want)
    assert found.after == pytest.approx(float(losses(want).mean()))
    # Something was tried in parts, and something was not.
    assert found.after < found.before or not found.accepted
    soft = specialise(losses, WHOLE, hard=False)
    assert not soft.switches.hard.any()


def test_greed_fits_what_it_looks_at():
    """By noise alone the loss of the samples that decide falls, and that of others does not."""
    gains = []
    for seed in range(6):
        losses = additive(seed, samples=60)
        deciding = lambda switches, all_of=losses: all_of(switches)[:30]  # noqa: E731
        found = specialise(deciding, WHOLE)
        untouched = [float(losses(each)[30:].mean()) for each in (WHOLE, found.switches)]
        gains.append((found.before - found.after, untouched[0] - untouched[1]))
    deciding, others = (sum(each) / len(gains) for each in zip(*gains, strict=True))
    assert deciding > 0.05
    assert others < 0.3 * deciding


@pytest.mark.parametrize("seed", range(4))
def test_a_random_control_takes_as_much_elsewhere(seed):
    like = WHOLE.turned("hard", 0).turned("feed_forward", 1).turned("heads", 2, 1).turned("units", 0, 3)
    like = like.turned("units", 2, 0)
    found = drawn(like, torch.Generator().manual_seed(seed))
    for kind in ("attention", "feed_forward", "heads", "units", "hard"):
        assert getattr(found, kind).sum() == getattr(like, kind).sum()
    assert found.kept_units.sum() == like.kept_units.sum()
    assert found.removed == like.removed == 1 - (5 + 6) / 18
    others = [drawn(like, torch.Generator().manual_seed(other)) for other in range(8)]
    assert not all(found.same(other) for other in others)


def some_switches():
    found = Switches.whole(3, 2, 4).turned("feed_forward", 0).turned("attention", 1).turned("heads", 2, 0)
    return found.turned("units", 1, 2).turned("units", 2, 0).turned("hard", 0).turned("hard", 2)


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_what_is_removed_computes_as_what_was_switched_off(family):
    one = subject(family)
    switches, keys = some_switches(), 3
    if family == "mistral":
        switches = switches.turned("hard", 0).turned("hard", 2)
    given, _ = split_texts(one, "sums", rows=3, untouched=1, length=30, seed=0, after="")
    expected = logits(one, IDS)
    switched = Passes(one, given.ids, given.counted, SLICES, keys).losses(switches)
    # What was switched off is on again.
    assert torch.equal(logits(one, IDS), expected)
    facts = dict.fromkeys(("loss", "loss_before", "loss_untouched", "loss_untouched_before"), 1.0)
    facts |= {"texts": [3, 1], "trials": 1, "accepted": []}
    shape = transform.shape_of(one, "axformer")
    transform._carried_out(one, shape, switches, SLICES, keys, 30, facts, random=False)
    found = one.model(given.ids, use_cache=False).logits
    for row, want in enumerate(switched):
        places = given.counted[row].nonzero().flatten()
        nats = [-float(found[row, place - 1].log_softmax(-1)[given.ids[row, place]]) for place in places.tolist()]
        assert float(want) == pytest.approx(sum(nats) / len(nats), abs=1e-4)
    assert one.model.config.model_type == (family if family == "mistral" else f"hard_{family.removesuffix('-biased')}")
    assert one.model.config.num_hidden_layers == 3


def test_hard_attention_in_a_model_is_its_definition_and_comes_off_again():
    one, other = subject(), subject()
    expected = logits(one, IDS)
    for layer in one.model.model.layers:
        harden(layer.self_attn, 3)
    hardened = logits(one, IDS)
    # Three positions are heard as they were, and later ones are not.
    torch.testing.assert_close(hardened[:, :3], expected[:, :3])
    assert (hardened[:, 3:] - expected[:, 3:]).abs().amax(-1).min() > 1e-3
    # By hand: the first layer's shares with zeros in place of all but three.
    attention, ids = other.model.model.layers[0].self_attn, IDS[:1]
    seen = []
    attention.o_proj.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    one.model.model.layers[0].self_attn.o_proj.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    shares = other.model(ids, use_cache=False, output_attentions=True).attentions[0].double()
    logits(one, ids)
    value = attention.v_proj(other.model.model.layers[0].input_layernorm(other.model.model.embed_tokens(ids)))
    value = value.view(1, 8, 2, 6).transpose(1, 2).repeat_interleave(2, 1).double()
    shares = shares * (shares >= shares.topk(3).values[..., -1:])
    torch.testing.assert_close(seen[1].double(), (shares @ value).transpose(1, 2).flatten(2), atol=1e-5, rtol=0)
    for layer in one.model.model.layers:
        harden(layer.self_attn, 0)
    assert torch.equal(logits(one, IDS), expected)


def test_losses_are_of_the_tokens_behind_the_last_of_some_words():
    one = subject()
    given, others = split_texts(one, "sums", rows=10, untouched=2, length=400, seed=1, after="Solution:")
    for texts in (given, others):
        for ids, counted in zip(texts.ids, texts.counted, strict=True):
            text = one.tokenizer.decode(ids[counted.logical_not() & (ids != 0)])
            assert text.count("Solution:") == 1
            assert text.endswith("Solution:")
            assert one.tokenizer.decode(ids[counted]).count("Answer: ") == 1
    counted = Passes(one, given.ids, given.counted, SLICES, 4).losses(WHOLE)
    found = one.model.double()(given.ids, use_cache=False).logits
    for row, want in enumerate(counted):
        places = given.counted[row].nonzero().flatten().tolist()
        nats = [-float(found[row, place - 1].log_softmax(-1)[given.ids[row, place]]) for place in places]
        assert float(want) == pytest.approx(sum(nats) / len(nats), abs=1e-5)


def test_texts_that_decide_and_others_do_not_overlap(tmp_path):
    (tmp_path / "texts.txt").write_text("abcd\n" * 3 + "efgh\nijkl\nmnop\nqrst\nuvwx\n")
    given, others = split_texts(subject(), str(tmp_path / "texts.txt"), rows=4, untouched=4, length=9, seed=0, after="")
    assert not {tuple(row) for row in given.ids.tolist()} & {tuple(row) for row in others.ids.tolist()}
    (tmp_path / "texts.txt").write_text("abcd\n" * 4)
    with pytest.raises(ConfigError, match="every untouched text .* is among those that changes are accepted by"):
        split_texts(subject(), str(tmp_path / "texts.txt"), rows=2, untouched=2, length=9, seed=0, after="")


def test_a_copy_says_what_decided_and_what_it_is_worth_elsewhere():
    one = subject()
    found = axformer(one, **QUICK).facts
    assert found["loss"] < found["loss_before"] or not found["accepted"]
    assert found["texts"] == [4, 3]
    given, others = split_texts(subject(), "sums", rows=4, untouched=3, length=40, seed=0, after="")
    slices = [slice(0, 3), slice(3, 6), slice(6, 10)]
    for texts, told in ((given, found["loss_before"]), (others, found["loss_untouched_before"])):
        losses = Passes(subject(), texts.ids, texts.counted, slices, 4).losses(Switches.whole(3, 2, 3))
        assert told == pytest.approx(float(losses.mean()))
    control = axformer(subject(), **QUICK, random=True).facts
    assert (sum(control["heads"]), len(control["hard_layers"])) == (sum(found["heads"]), len(found["hard_layers"]))
    assert units_of(torch.tensor([[True, False, True]]), slices).tolist() == [[True] * 3 + [False] * 3 + [True] * 4]


def test_where_nothing_is_gained_it_is_the_model_itself(monkeypatch):
    one = subject()
    expected = logits(one, IDS)
    monkeypatch.setattr(Passes, "losses", lambda self, switches: torch.ones(4).double())
    outcome = axformer(one, **QUICK)
    assert outcome.facts["macs_kept"] == 1.0
    assert outcome.facts["accepted"] == []
    assert torch.equal(logits(one, IDS), expected)
    assert "No head and no unit was removed." in outcome.remarks


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        (
            {"keys": 40},
            "keys is from 1 to 39, since the longest text has 40 tokens and hard attention of more keeps all; got 40",
        ),
        ({"keys": -1}, "keys is from 1 to 39"),
        ({"groups": 11}, "groups is from 1 to the 10 units of a layer; got 11"),
        ({"rows": 0}, "rows must be at least 1; got 0"),
        ({"untouched": 0}, "untouched is how many texts tell what a search fits, at least 1; got 0"),
        ({"rows": 190}, "sums has 192 texts, and 193 rows were asked for"),
        ({"share": 1.0}, "share is of the samples, at least 0 and below 1; got 1"),
        ({"slack": -0.1}, "slack is at least 0"),
        ({"near": 0.9}, "near is at least 1 and finite; got 0.9"),
        ({"after": "Solution"}, "of 7 texts of sums have nothing to foretell in their first 40 tokens; raise length"),
        ({"after": "no such words", "length": 400}, "a text of sums has no 'no such words'"),
        ({"after": "Solution:", "calibration": "own"}, "a model's own have no 'Solution:'"),
        ({"seed": -1}, "seed must be from 0 to"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(keys, sentence):
    with pytest.raises(ConfigError, match=sentence):
        axformer(subject(), **{**QUICK, **keys})


def test_models_that_it_does_not_know_are_refused():
    model = AutoModelForCausalLM.from_config(GPT2Config(vocab_size=258, n_embd=8, n_layer=1, n_head=2))
    with pytest.raises(ModelError, match="axformer knows the blocks of .* models; g is of type gpt2"):
        axformer(Subject("g", model, byte_tokenizer(258), torch.float32))
    with pytest.raises(ConfigError, match="mistral sees 4 positions alone, .* set hard=false"):
        axformer(subject("mistral"), **QUICK)
    with pytest.raises(ConfigError, match="hard_keys says for each of 3 layers how many positions a query hears"):
        HardLlamaForCausalLM(HardLlamaConfig(**FAMILIES["llama"].to_dict() | {"hard_keys": [1, 2]}))


def test_a_hard_copy_plays_alone_as_in_company_and_nothing_follows_it(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "cache_home", lambda: tmp_path / "home")
    base = tiny("llama")
    # What is switched off is chosen here: one head and hard attention in the last layer.
    chosen = {}

    def some(losses, whole, **_):
        last = len(whole.hard) - 1
        chosen["switches"] = whole.turned("hard", last).turned("heads", 0, 0)
        return Specialised(chosen["switches"], (), 1.0, 1.0)

    monkeypatch.setattr(transform, "specialise", some)
    step = "axformer(rows=2, untouched=2, length=24, groups=2, keys=3)"
    folder = pretrained.locate(f"{base} | {step}")
    record = json.loads((folder / "transform.json").read_text())
    assert record["steps"][0]["hard_layers"] == [len(chosen["switches"].hard) - 1]
    assert kept_share(record) == record["steps"][0]["macs_kept"] < 1
    assert "shares are not renormalised" in (folder / "README.md").read_text()
    model = LoadedModel(folder, name="hard", dtype="float32", device="cpu", rows=4)
    assert isinstance(model.model, MODELS["llama"])
    assert model.verdict.way == "by_row"
    assert model.verdict.invariant
    assert_hears_alone_as_in_company(model)
    assert_says_what_a_plain_loop_says(model, max_tokens=12)
    with pytest.raises(ModelError, match=r"hard in some layers \(axformer\), .*; name axformer last"):
        pretrained.locate(f"{base} | {step} | optin(macs=0.5, score='random')")
    with pytest.raises(ConfigError, match="neither `attention` nor `cache` can be exchanged"):
        LoadedModel(folder, name="hard", dtype="float32", device="cpu", rows=4, exchanged=Hard(2))


def test_vllm_refuses_hard_attention():
    check = pytest.importorskip("agents.backends.vllm.check")
    one = subject()
    check.refuse_masked(one.model.config, "base")
    one.model = transform.recast(one.model, MODELS["llama"], hard_keys=[0, 5, 0])
    with pytest.raises(ModelError, match="its queries hear the 5 positions of largest share in some layers"):
        check.refuse_masked(one.model.config, "hard")


def test_it_may_follow_a_removal():
    one = subject()
    optin(one, macs=0.5, score="random")
    assert axformer(one, **{**QUICK, "groups": 1, "slack": 0.5}).facts["trials"] > 3
