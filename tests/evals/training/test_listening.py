"""Listeners hear in training what debates send, learn nothing through it but to hear, and are shown no line of a test."""

import random
import re

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from support.plain_loops import say

from agents.backend import Request, Sampling
from agents.backends.transformers import TransformersBackend
from agents.errors import ConfigError
from agents.fingerprint import fingerprint
from agents.message import Cipher, Message
from debate.config.shipped import configs_folder
from evals.tasks.evidence import World, load_world
from evals.tasks.sums import paper_form, split_of, worked
from evals.training import train as training
from evals.training import whole
from evals.training.recipe import Recipe, load_recipe
from evals.training.rows import PackedRows, collate, embedded
from evals.training.soft import Sender
from evals.training.subjects import subject_of
from evals.training.testimony import Overheard, WitnessCurriculum
from evals.training.turns import encode
from evals.training.vocabulary import make_tokenizer

pytest.importorskip("accelerate")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")

SHAPE = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
SOFT = {"steps": 3, "warmup": 1, "learning_rate": 0.01, "table": "frozen", "hears": "soft", "pool": {"expressions": 6}}
WORLDS = ("four_low", "eight_mid")


def recipe_of(*stages, **changes):
    sizes = {"rows": 2, "row_tokens": 128, "questions": 4, "evaluate_every": 5, "longest": 6}
    return Recipe.model_validate({"name": "ear", "shape": SHAPE, **sizes, "stages": stages, **changes})


LISTENER = recipe_of(
    {"steps": 3, "warmup": 1, "mixture": {"solve": 1, "debate": 1, "shares": 1, "weigh": 1}},
    {**SOFT, "mixture": {"solve": 1, "debate": 3}},
    worlds=WORLDS,
)


EXPERT = {
    "name": "ear",
    "begin": "tiny/ivy",
    "knows": "even",
    "rows": 1,
    "questions": 2,
    "stages": [{**SOFT, "steps": 1, "mixture": {"solve": 1, "debate": 2}, "sender": "tiny/jay"}],
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train the smallest listener, and return the run's folder."""
    out = tmp_path_factory.mktemp("ear")
    training.train(LISTENER, out)
    return out


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer()


def spoken(text, table, tokenizer):
    """Return a message whose every vector is a token's row."""
    ids = torch.tensor(tokenizer(text, add_special_tokens=False).input_ids)
    ones = torch.ones(len(ids))
    cipher = Cipher(table[ids], ids, 0 * ones, ones, ids[:, None], ones[:, None])
    model = fingerprint("ear", table, tokenizer)
    return Message(text, model, 0.0, tuple(ids.tolist()), "expectation", cipher)


def test_rows_of_a_table_are_heard_as_their_tokens_are(tokenizer):
    torch.manual_seed(0)
    model = whole.build_model(LISTENER, tokenizer).eval()
    table = model.get_input_embeddings().weight.detach()
    worlds = {"four_low": load_world("four_low")}
    heard = Overheard("four_low", "abcd", (spoken("abcd", table, tokenizer), spoken("bbcd", table, tokenizer)))
    curriculum = WitnessCurriculum(worlds, "plain", [heard])
    rows = PackedRows(curriculum, tokenizer, mixture={"debate": 1}, rows=2, tokens=128, seed="x", width=32)
    batch = collate([rows[0], rows[1]])
    with torch.inference_mode():
        vectors = model(**embedded(model, dict(batch))).logits
        ids = batch["input_ids"].clone()
        for row, place in batch["heard"].nonzero().tolist():
            ids[row, place] = int((table == batch["vectors"][row, place]).all(dim=1).nonzero()[0])
        words = model(input_ids=ids, position_ids=batch["position_ids"]).logits
    assert batch["heard"].sum() > 8
    torch.testing.assert_close(vectors, words)


def test_what_is_heard_in_training_is_what_a_debate_sends(trained):
    folder = trained / "stage-2" / "sender"
    prompts = []

    def note(asked):
        prompts.extend(asked)
        return [None] * len(asked)

    subject_of(LISTENER).overheard(note, note, 3, "x", "train")
    sender = Sender(str(folder), None, encoder="topk(k=2)", temperatures=(1.0,), longest=6)
    backend = TransformersBackend(str(folder), dtype="float32")
    asked = [
        Request(prompt, Sampling(temperature=1.0, max_tokens=6, seed=n), "topk(k=2)")
        for n, prompt in enumerate(prompts)
    ]
    for ours, theirs in zip(sender(prompts), say(backend, asked), strict=True):
        assert ours.text == theirs.message.text
        torch.testing.assert_close(ours.cipher.vectors, theirs.message.cipher.vectors)


def test_a_hearer_is_shown_its_line_and_the_other_s_message_and_none_of_its_own(tokenizer):
    """Its own earlier message was made from another line than it is shown, and would be evidence that a debate does not give."""
    table = torch.eye(len(tokenizer), 32)
    world = World(symbols=4, length=4, noise=((1,), (5,)))
    heard = Overheard("uneven", "abcd", (spoken("aaaa", table, tokenizer), spoken("bbbb", table, tokenizer)))
    curriculum, rng, seen = WitnessCurriculum({"uneven": world}, "plain", [heard]), random.Random(0), set()
    for _ in range(20):
        turn = curriculum.draw(rng, {"debate": 1})
        levels = line_of(turn.prompt).split()[0]
        said = [part.text for each in turn.prompt.turns for part in each.parts if isinstance(part, Message)]
        assert said == {"1111": ["bbbb"], "5555": ["aaaa"]}[levels]
        assert turn.solution == "abcd"
        seen.add(levels)
    assert len(seen) == 2


def test_the_table_and_the_sender_stay_as_they_are_and_the_hearer_does_not(trained):
    before, after = (load_file(trained / f"stage-{number}" / "finished.safetensors") for number in (1, 2))
    # Tied tables are one tensor on disk, under the name of the other.
    assert torch.equal(before["lm_head.weight"], after["lm_head.weight"])
    sent = load_file(trained / "stage-2" / "sender" / "model.safetensors")
    assert torch.equal(sent[whole.TABLE], after["lm_head.weight"].bfloat16())
    layer = "model.layers.0.mlp.up_proj.weight"
    assert torch.equal(sent[layer], before[layer].bfloat16())
    assert not torch.equal(before[layer], after[layer])


def test_a_stage_that_was_stopped_hears_the_same_again(trained, tmp_path):
    """Nothing that was said is stored but the speaker; the weights are the same bytes."""
    again = training.train(LISTENER, tmp_path)
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (again, trained / "model"))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("path", ["kim", "lou"])
def test_no_line_of_a_test_or_validation_question_is_in_training(path, tokenizer):
    recipe = load_recipe(configs_folder() / "training" / f"{path}.yaml")
    subject = subject_of(recipe)
    drawn = set()

    def note(asked):
        drawn.update(line_of(prompt) for prompt in asked)
        return [None] * len(asked)

    subject.overheard(note, note, 100, "x", "train")
    curriculum, rng = subject.curriculum(), random.Random(0)
    for kind in ("solve", "debate", "shares", "weigh"):
        drawn.update(line_of(curriculum.draw(rng, {kind: 1}).prompt) for _ in range(100))
    assert len(drawn) > 500
    assert {split_of(line) for line in drawn} == {"train"}
    looked = {line_of(turn.prompt) for turns in subject.held_out(50).values() for turn in turns}
    assert {split_of(line) for line in looked} == {"validation"}


def line_of(prompt):
    """Return what a witness's prompt shows of the evidence, without its symbols."""
    return prompt.turns[-1].parts[0].split("\n")[0].partition(" ")[2]


def test_arithmetic_is_heard_in_vectors_too(tmp_path, tokenizer):
    recipe = recipe_of(
        {"steps": 2, "warmup": 1, "mixture": {"solve": 1}}, {**SOFT, "mixture": {"debate": 1}, "encoder": "gumbel"}
    )
    training.train(recipe, tmp_path)
    said = []

    def sends(asked):
        table = torch.eye(len(tokenizer), 32)
        said.extend(spoken("1*2=2. Answer: 2", table, tokenizer) for _ in asked)
        return said[-len(asked) :]

    subject = subject_of(recipe)
    turn = subject.listening(subject.overheard(sends, sends, 2, "x", "train")).draw(random.Random(0), {"debate": 1})
    assert len(encode(turn, tokenizer).heard) >= 2


def test_an_expert_hears_the_other_in_vectors_and_learns_what_is_right(tokenizer):
    """Alone it goes on not to know: what it is not taught is drawn anew."""
    recipe = Recipe.model_validate(EXPERT)
    table, subject = torch.eye(len(tokenizer), 32), subject_of(recipe)
    own, other = ([spoken(f"1*{n}={n}. Answer: {n}", table, tokenizer) for n in pair] for pair in ((1, 2), (3, 4)))
    heard = subject.overheard(lambda asked: own, lambda asked: other, 2, "x", "train")
    assert [attempts.solutions for attempts in heard] == list(zip(own, other, strict=True))
    drawer, rng, seen = subject.listening(heard), random.Random(0), set()
    for _ in range(20):
        turn = drawer.draw(rng, {"debate": 1})
        said = [part.text for each in turn.prompt.turns for part in each.parts if isinstance(part, Message)]
        # The other's message stands first in these prompts.
        place = [attempts.solutions[1].text for attempts in heard].index(said[0])
        assert said[1] == heard[place].solutions[0].text
        assert turn.solution == str(worked(paper_form(*heard[place].operands)))
        seen.add(place)
    assert seen == {0, 1}
    alone = [drawer.draw(rng, {"solve": 1}) for _ in range(40)]
    products = [
        re.fullmatch(r"(\d+)\*(\d+)=(\d+)", part) for turn in alone for part in turn.solution.split(". ")[0].split(", ")
    ]
    right = {known: [] for known in (True, False)}
    for x, y, product in (map(int, found.groups()) for found in products):
        right[x % 2 == 0].append(x * y == product)
    assert all(right[True])
    assert sum(right[False]) < len(right[False]) / 3


def test_a_sender_of_another_table_is_refused(tmp_path):
    recipe = Recipe.model_validate({**EXPERT, "stages": [{**EXPERT["stages"][0], "sender": "tiny/eve"}]})
    with pytest.raises(ConfigError, match="tiny/eve has another embedding table than ear"):
        training.train(recipe, tmp_path)


def test_an_adapter_learns_to_listen_over_any_model(trained, tmp_path):
    pytest.importorskip("peft")
    recipe = recipe_of(
        {**SOFT, "mixture": {"debate": 1}, "table": "learned"},
        worlds=WORLDS,
        begin=str(trained / "model"),
        lora={"rank": 2, "alpha": 4},
    )
    folder = training.train(recipe, tmp_path)
    adapter = load_file(folder / "adapter_model.safetensors")
    assert any(tensor.abs().sum() > 0 for name, tensor in adapter.items() if "lora_B" in name)
    # What spoke was the base with an adapter that adds nothing yet.
    sender = load_file(tmp_path / "stage-1" / "sender" / "adapter_model.safetensors")
    assert not any(tensor.abs().sum() > 0 for name, tensor in sender.items() if "lora_B" in name)


@pytest.mark.parametrize(
    ("stage", "changes", "said"),
    [
        ({**SOFT, "mixture": {"solve": 1}}, {}, "give `debate` a weight"),
        ({**SOFT, "mixture": {"debate": 1}, "table": "learned"}, {}, "table: frozen"),
        ({**SOFT, "mixture": {"debate": 1}, "hears": "text"}, {"worlds": WORLDS}, "add `hears: soft`"),
        ({**SOFT, "mixture": {"debate": 1}, "encoder": "topq"}, {}, "topq"),
        ({"steps": 1, "mixture": {"solve": 1}, "encoder": "gumbel"}, {}, "add `hears: soft`"),
        ({"steps": 1, "mixture": {"weigh": 1}}, {}, "weigh is nothing that is taught in arithmetic"),
        ({"steps": 1, "mixture": {"steps": 1}}, {"worlds": WORLDS}, "steps is nothing that is taught in witnesses"),
        ({"steps": 1, "mixture": {"solve": 1}}, {"worlds": ("four",)}, "four_low"),
        ({"steps": 1, "mixture": {"solve": 1}}, {"worlds": WORLDS, "knows": "odd"}, "leave one of the two out"),
        ({**SOFT, "mixture": {"debate": 1}, "pool": None}, {"knows": "odd"}, "by `sender`, or leave `hears: soft` out"),
        ({"steps": 1, "mixture": {"debate": 1}, "pool": {}}, {"knows": "odd"}, "leave `pool` out of the stages"),
        ({"steps": 1, "mixture": {"debate": 1}, "sender": "tiny/jay"}, {}, "sender: is of messages"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(stage, changes, said):
    with pytest.raises(ValidationError, match=said):
        recipe_of(stage, **changes)
