"""Checkpoints as they are found: whole and sound, or refused in one sentence before anything is computed by them."""

import asyncio
import contextlib
import json
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertModel,
    LlamaForSequenceClassification,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from agents.backend import Prompt, Request, Sampling
from agents.backends.transformers import TransformersBackend
from agents.backends.transformers.row import Row
from agents.errors import BackendFailed, MessageError, ModelError, PromptError
from agents.model_folder import read_config, read_tokenizer
from agents.model_remarks import remarks

WEIGHTS = "model.safetensors"


def load(folder, said=None, **options):
    keep = (lambda _: None) if said is None else said.append
    return TransformersBackend(str(folder), **{"dtype": "float32", "device": "cpu", "progress": keep, **options})


@pytest.fixture
def folder(tiny, tmp_path):
    """A sound model, to be damaged."""
    return shutil.copytree(tiny(), tmp_path / "model")


def edit(folder, change):
    weights = load_file(folder / WEIGHTS)
    change(weights)
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})


def edit_json(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


LAYER = "model.layers.1.mlp.up_proj.weight"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda w: w.pop(LAYER), f"lacks weights \\({LAYER}\\), which would be random"),
        (lambda w: [w.pop(key) for key in list(w) if "layers.2" in key], r"lacks weights \(.* and \d+ more\)"),
        (lambda w: w.update(stray=torch.ones(2)), r"does not use \(stray\)"),
        (lambda w: w.update({LAYER: torch.ones(3, 3)}), f"other shapes than its config says \\({LAYER}\\)"),
        (lambda w: w[LAYER].view(-1)[5:6].fill_(float("nan")), f"not finite .* in {LAYER}"),
        (lambda w: w["model.norm.weight"][0:1].fill_(float("-inf")), r"not finite .* in model\.norm\.weight"),
        (
            lambda w: w.update({LAYER: (w[LAYER] * 50).to(torch.int8)}),
            f"weights as whole numbers \\({LAYER}\\), and its config",
        ),
        (lambda w: [weight.zero_() for weight in w.values()], "finds every token as likely as every other"),
    ],
)
def test_weights_that_are_not_the_models_own_are_refused_by_name(folder, change, sentence):
    edit(folder, change)
    with pytest.raises(ModelError, match=sentence):
        load(folder)


def test_weights_that_float16_cannot_hold_say_what_to_do(folder):
    edit(folder, lambda weights: weights[LAYER].view(-1)[0:1].fill_(1e6))
    assert load(folder).fingerprint.weights
    with pytest.raises(ModelError, match=r"not finite .*use dtype: bfloat16"):
        load(folder, dtype="float16")


def test_the_fingerprint_knows_every_weight_and_the_config(folder, tiny):
    sound = load(tiny()).fingerprint
    assert load(folder).fingerprint.weights == sound.weights
    edit(folder, lambda weights: weights[LAYER].view(-1)[0:1].add_(1))
    changed = load(folder).fingerprint
    assert changed.same_table(sound)
    assert not changed.is_again(sound)
    edit_json(folder / "config.json", rms_norm_eps=0.5)
    assert not load(folder).fingerprint.is_again(changed)


def test_a_pickle_is_not_read_and_missing_shards_are_named(folder):
    (folder / WEIGHTS).rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"no weights in model\.safetensors; pytorch_model\.bin can run code"):
        load(folder)
    index = {"weight_map": {LAYER: "model-00001-of-00002.safetensors", "b": "../b.safetensors"}}
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match=r"names files that are not in .*model-00001-of-00002\.safetensors"):
        load(folder)


def test_a_file_of_weights_that_is_cut_short_is_refused(folder):
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match=r"cannot load model\.safetensors, which is damaged or was not fetched whole"):
        load(folder)


def shards(folder):
    """Store a model's weights in two files, and return the names of the weights in each."""
    weights = load_file(folder / WEIGHTS)
    keys = sorted(weights)
    parts = {"a.safetensors": keys[:5], "b.safetensors": keys[5:]}
    for file, held in parts.items():
        save_file({key: weights[key] for key in held}, folder / file, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": {key: file for file, held in parts.items() for key in held}}
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps(index))
    (folder / WEIGHTS).unlink()
    return parts.values()


def test_shards_that_are_not_what_their_index_says_are_refused(folder, tiny):
    first, _ = shards(folder)
    assert load(folder).fingerprint.same_table(load(tiny()).fingerprint)
    index = folder / f"{WEIGHTS}.index.json"
    said = json.loads(index.read_text())
    for change, sentence in (
        ({"weight_map": said["weight_map"] | {first[0]: "b.safetensors"}}, f"not agree on where .*: {first[0]}"),
        ({"weight_map": said["weight_map"] | {"stray": "b.safetensors"}}, "not agree on where .*: stray"),
        ({"weight_map": dict.fromkeys(first, "a.safetensors")}, "lacks weights"),
        ({"metadata": None}, "has no metadata"),
    ):
        index.write_text(json.dumps(said | change))
        with pytest.raises(ModelError, match=sentence):
            load(folder)
    index.write_text(json.dumps(said))
    weights = load_file(folder / "b.safetensors")
    save_file(weights | {first[0]: torch.zeros(3)}, folder / "b.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=rf"a\.safetensors and b\.safetensors both hold {first[0]}"):
        load(folder)


@pytest.mark.parametrize("file", [WEIGHTS, "tokenizer.json"])
def test_a_file_that_was_not_fetched_from_git_lfs_says_so(folder, file):
    (folder / file).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(ModelError, match=f"of {file} there is only what Git LFS keeps in its place"):
        load(folder)


@pytest.mark.parametrize("architectures", [[3], "LlamaForCausalLM", None, []])
def test_a_config_that_names_no_architecture_is_known_by_its_type(folder, architectures):
    edit_json(folder / "config.json", architectures=architectures)
    assert load(folder).fingerprint.weights


BERT = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 300}
T5_SIZES = {"d_model": 16, "d_ff": 16, "num_layers": 1, "num_heads": 2, "d_kv": 8, "vocab_size": 300}


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda _: BertForMaskedLM(BertConfig(**BERT)), r"is an encoder \(BertForMaskedLM\)"),
        (lambda _: BertModel(BertConfig(**BERT)), r"is an encoder \(BertModel\)"),
        (
            lambda _: T5ForConditionalGeneration(T5Config(**T5_SIZES)),
            r"is an encoder–decoder \(T5ForConditionalGeneration\)",
        ),
        (LlamaForSequenceClassification, r"is a classifier \(LlamaForSequenceClassification\)"),
    ],
)
def test_what_does_not_continue_a_text_is_refused_in_a_short_sentence(tiny, tmp_path, make, sentence):
    folder = shutil.copytree(tiny(), tmp_path / "model")
    make(read_config(tiny("llama-wide"))).save_pretrained(folder)
    with pytest.raises(ModelError, match=sentence) as caught:
        load(folder)
    assert len(str(caught.value)) - len(str(folder)) < 120


def test_a_body_without_its_head_is_refused(tiny, tmp_path):
    folder = shutil.copytree(tiny("llama-wide"), tmp_path / "model")
    edit(folder, lambda weights: weights.pop("lm_head.weight"))
    with pytest.raises(ModelError, match=r"lacks weights \(lm_head\.weight\)"):
        load(folder)


def test_an_adapter_beside_the_weights_is_not_mixed_in_unasked(folder):
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "owner/name"}')
    with pytest.raises(ModelError, match="holds a model and an adapter"):
        load(folder)


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("config.json", "{", r"cannot read .*config\.json"),
        ("config.json", "[]", "a mapping was expected"),
        ("config.json", "{}", "cannot load the config"),
        ("config.json", '{"model_type": "brandnew"}', "brandnew.*this version of transformers does not have"),
        ("config.json", '{"model_type": "llama", "hidden_size": "wide"}', "cannot load the"),
        ("tokenizer.json", "{", "cannot load the tokenizer"),
    ],
)
def test_files_that_transformers_does_not_take_are_a_sentence(folder, file, content, sentence):
    (folder / file).write_text(content)
    with pytest.raises(ModelError, match=sentence):
        load(folder)


@pytest.mark.parametrize("place", ["top", "nested", "tokenizer", "within a list"])
def test_code_in_a_models_folder_is_not_run(folder, tmp_path, place):
    touched = tmp_path / "touched"
    (folder / "evil.py").write_text(
        f"open({str(touched)!r}, 'w')\nclass Config: pass\nclass Model: pass\nclass Tok: pass\n"
    )
    code = {"AutoConfig": "evil.Config", "AutoModel": "evil.Model", "AutoModelForCausalLM": "evil.Model"}
    match place:
        case "top":
            edit_json(folder / "config.json", auto_map=code, model_type="evil")
        case "nested":
            edit_json(folder / "config.json", text_config={"model_type": "evil", "auto_map": code})
        case "within a list":
            edit_json(folder / "config.json", encoders=[{"auto_map": code}])
        case _:
            auto_map = {"AutoTokenizer": ["evil.Tok", "evil.Tok"]}
            edit_json(folder / "tokenizer_config.json", auto_map=auto_map, tokenizer_class="Tok")
    for reader in (load, read_config, read_tokenizer):
        # Of each place some readers know nothing.
        with contextlib.suppress(ModelError):
            reader(folder)
    if place != "tokenizer":
        with pytest.raises(ModelError, match="trust_remote_code: true"):
            load(folder)
    assert not touched.exists()


def test_a_model_that_names_code_and_needs_none_is_loaded_without_it(folder, tmp_path):
    touched = tmp_path / "touched"
    (folder / "evil.py").write_text(f"open({str(touched)!r}, 'w')")
    edit_json(folder / "config.json", auto_map={"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"})
    assert load(folder).fingerprint.vocabulary
    assert not touched.exists()


def test_tokens_beyond_the_table_are_said_and_a_prompt_that_holds_one_is_refused(folder, run):
    tokenizer = read_tokenizer(folder)
    tokenizer.add_tokens(["[gene]", "[protein]"])
    tokenizer.save_pretrained(folder)
    said = []
    backend = load(folder, said)
    assert any(r"2 tokens beyond the 300 rows of its embedding table ([gene], [protein])" in line for line in said)

    async def ask(text):
        return await backend.submit(Request(Prompt.of(text), Sampling(max_tokens=2)))

    assert run(ask("a gene")).message.num_tokens
    with pytest.raises(PromptError, match=r"holds the token '\[gene\]' \(300\)"):
        run(ask("a [gene]"))


def test_no_end_token_no_chat_template_and_turns_that_end_otherwise_are_said(tiny):
    base, chat = read_tokenizer(tiny()), read_tokenizer(tiny(chat=True))
    assert remarks("m", chat, {257}, 300) == []
    assert remarks("m", base, {257}, 300) == []
    (endless,) = remarks("m", base, (), 300)
    assert "m names no token that ends a message" in endless
    (sentence,) = remarks("m", chat, {5}, 300)
    assert "ends a turn with <|end|>" in sentence
    assert "stop: ['<|end|>']" in sentence
    (endless,) = remarks("m", base, {301, -1}, 300)
    assert "names no token that ends a message" in endless
    (foreign,) = remarks("m", base, {257}, 400)
    assert "has 300 tokens for the 400 rows of its embedding table" in foreign


def test_a_text_that_the_tokenizer_cannot_read_is_an_error_of_the_prompt(folder, run):
    core = Tokenizer(models.WordLevel({"a": 0, "b": 1}))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=core).save_pretrained(folder)
    backend = load(folder)

    async def ask(text):
        return await backend.submit(Request(replace(Prompt.of(text), cue="b"), Sampling(max_tokens=2)))

    assert run(ask("a b")).message.num_tokens == 2
    with pytest.raises(PromptError, match=r"tokenizer cannot read a text of the prompt .*UNK.*: 'c"):
        run(ask("c"))


def test_no_chat_template_is_said_once_and_only_where_one_would_be_used(tiny, run):
    sentence = "has no chat template: its prompts are plain text"

    async def ask(backend, form):
        return await backend.submit(Request(replace(Prompt.of("Hi"), format=form), Sampling(max_tokens=1)))

    for folder, told in ((tiny(), [0, 1, 1]), (tiny(chat=True), [0, 0, 0])):
        said = []
        backend = load(folder, said)
        for form, count in zip(("plain", "auto", "auto"), told, strict=True):
            run(ask(backend, form))
            assert sum(sentence in line for line in said) == count


@pytest.mark.parametrize("bad", ["nan", "inf", "-inf"])
def test_logits_that_are_not_finite_are_an_error_in_text_as_in_vectors_and_cost_no_neighbour(tiny, run, bad):
    """The damage is in what one token says of the next: a prompt without it is answered."""
    backend = load(tiny("llama-wide"))
    table = backend.engine.model.model.get_input_embeddings().weight
    (zed,) = backend.tokenizer("Z", add_special_tokens=False).input_ids
    forward = backend.engine.model._forward
    alone = Request(Prompt.of("quite well"), Sampling(max_tokens=6, seed=3))

    def damaged(inputs, *arguments, **options):
        logits = forward(inputs, *arguments, **options)
        hit = (inputs == table[zed]).all(-1).any(-1)
        return torch.where(hit[: len(logits), None, None], float(bad), logits)

    async def ask():
        expected = await backend.submit(alone)
        backend.engine.model._forward = damaged
        requests = [Request(Prompt.of("ZZ"), Sampling(max_tokens=6, temperature=t)) for t in (0.0, 0.8)]
        requests += [Request(Prompt.of("ZZ"), Sampling(max_tokens=6), "expectation")]
        requests += [Request(Prompt.of("ZZ"), choices=("yes", "no"))]
        pending = [backend.submit(request) for request in [*requests, alone]]
        for waiting in pending[:-1]:
            with pytest.raises(BackendFailed, match="cannot answer: .*logits row 0"):
                await waiting
        assert (await pending[-1]).message == expected.message
        await backend.close()

    run(ask())


@pytest.mark.parametrize("alone", [True, False])
def test_an_answer_that_makes_no_message_is_told_to_who_waits_and_costs_no_neighbour(tiny, run, monkeypatch, alone):
    """Its own request is off the list while its message is made: nobody else would end what waits for it."""
    backend = load(tiny("llama-wide"))
    generation = Row.generation

    def broken(row, *arguments):
        if row.request.sampling.seed == 7:
            raise MessageError("weights that sum to more than 1")
        return generation(row, *arguments)

    monkeypatch.setattr(Row, "generation", broken)

    async def ask():
        sampling = Sampling(max_tokens=4)
        pending = [backend.submit(Request(Prompt.of("So"), replace(sampling, seed=7)))]
        pending += [] if alone else [backend.submit(Request(Prompt.of(text), sampling)) for text in ("one", "two")]
        with pytest.raises(BackendFailed, match="cannot answer: weights that sum to more than 1"):
            await asyncio.wait_for(pending[0], 60)
        for other in pending[1:]:
            assert (await other).message.num_tokens > 0
        await backend.close()

    run(ask())
