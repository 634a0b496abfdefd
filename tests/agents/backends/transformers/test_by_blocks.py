"""Messages by blocks: of one step, the plain message byte for byte; of several, a plain loop; any company; refusals."""

import asyncio
import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file
from support.minds import keep_sharpened
from support.plain_loops import generate

from agents.backend import Prompt, Request, Sampling
from agents.backends.transformers.backend import TransformersBackend
from agents.backends.transformers.engine import Engine
from agents.backends.transformers.model import LoadedModel
from agents.decoding.rules import parse_decoding
from agents.errors import ConfigError, RequestError
from agents.models.ftp.model import FTPConfig, FTPForCausalLM
from agents.models.glyphs.table import character_tokenizer
from agents.models.seeded import seeded

TOKENIZER = character_tokenizer()
TEXT = "a beginning that every prompt shares, and that is longer than one block of positions; number "


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("ftp")
    config = FTPConfig(
        vocab_size=len(TOKENIZER), hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=256, tie_word_embeddings=True, pad_token_id=0, bos_token_id=1, eos_token_id=2, horizon=4,
    )  # fmt: skip
    keep_sharpened(seeded(lambda: FTPForCausalLM(config), 3), TOKENIZER, path)
    return path


@pytest.fixture(scope="module")
def model(folder):
    return LoadedModel(folder, name="ftp", dtype="float32", device="cpu", rows=4)


def asked(text="Speak, what say you?", decoding="ftp_blocks(n=3)", encoder="expectation", **sampling):
    own = {"max_tokens": 13, "temperature": 0.8, **sampling}
    return Request(Prompt.of(text), Sampling(**own), encoder, decoding=decoding)


@torch.inference_mode()
def said_plainly(model, request):
    """Return the vectors [T, D] and tokens of a CIPHER message by blocks, or of a greedy text; all is read anew each block."""
    settings = parse_decoding(request.decoding)
    ids = model.tokenizer(f"{request.prompt.turns[0].parts[0]}\nAnswer:").input_ids
    table = model.table.weight
    inputs, said, tokens = table[torch.tensor(ids)], [], []
    while True:
        state = model.model.model(inputs_embeds=inputs[None], use_cache=False).last_hidden_state[0, -1]
        given, block = [], []
        for _ in range(settings.n):
            logits = model.model.foretell(state[None], torch.stack(given)[None] if given else None)[0, -1]
            likeliest = int(logits.argmax())
            if request.encoder is None:
                vector, token = table[likeliest], likeliest
            else:
                vector = (torch.softmax(logits.double() / request.sampling.temperature, 0) @ table.double()).float()
                token = int((torch.nn.functional.normalize(table, dim=1) @ vector).argmax())
            if token in model.stop_ids:
                return torch.stack(said), tokens
            given.append(table[likeliest] if settings.feed == "argmax" else vector)
            block.append(vector)
            said, tokens = [*said, vector], [*tokens, token]
            if len(said) == request.sampling.max_tokens:
                return torch.stack(said), tokens
        inputs = torch.cat([inputs, torch.stack(block)])


@pytest.mark.parametrize("feed", ["argmax", "expected"])
@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_a_message_is_the_one_of_a_plain_loop(model, n, feed):
    request = asked(decoding=f'ftp_blocks(n={n}, feed="{feed}")')
    (ours,) = generate(Engine(model), [request])
    vectors, nearest = said_plainly(model, request)
    assert list(ours.message.token_ids) == nearest
    torch.testing.assert_close(ours.message.cipher.vectors, vectors, rtol=1e-4, atol=1e-5)
    words = replace(request, encoder=None, sampling=replace(request.sampling, temperature=0.0))
    (text,) = generate(Engine(model), [words])
    assert list(text.message.token_ids) == said_plainly(model, words)[1]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("encoder", [None, "expectation", "gumbel(tau=0.5)"])
def test_blocks_of_one_step_are_the_plain_message_byte_for_byte(folder, encoder, dtype):
    model = LoadedModel(folder, name="ftp", dtype=dtype, device="cpu", rows=4)
    plain, blocks = (
        generate(
            Engine(model, max_num_seqs=4), [asked(decoding=decoding, encoder=encoder, seed=5, likelihood=not encoder)]
        )
        for decoding in (None, "ftp_blocks(n=1)")
    )
    assert plain[0].message.digest == blocks[0].message.digest
    assert plain[0].log_likelihood == blocks[0].log_likelihood
    assert plain[0].usage == blocks[0].usage


def test_what_a_block_is_fed_matters_and_the_first_block_begins_alike(model):
    said = [
        generate(Engine(model), [asked(decoding=f'ftp_blocks(n=4, feed="{feed}")', ignore_eos=True)])[0].message.cipher
        for feed in ("argmax", "expected")
    ]
    assert torch.equal(said[0].vectors[0], said[1].vectors[0])
    assert not torch.allclose(said[0].vectors[1], said[1].vectors[1])


def test_the_same_bytes_alone_and_in_any_company(model):
    kinds = ("ftp_blocks(n=3)", None, 'ftp_blocks(n=4, feed="expected")', "acbs(width=2)")
    requests = [asked(f"{TEXT}{n}", kinds[n % 4], (None, "expectation")[n % 4 in (1, 2)], seed=n) for n in range(8)]
    alone = [generate(Engine(model, max_num_seqs=4, prefix_cache=False), [request])[0] for request in requests]
    engine = Engine(model, max_num_seqs=4)
    batch, again = generate(engine, requests), generate(engine, requests[::-1])[::-1]
    for one, two, three in zip(alone, batch, again, strict=True):
        assert one.message.digest == two.message.digest == three.message.digest


def test_a_message_ends_inside_a_block(model):
    (free,) = generate(
        Engine(model), [asked(encoder=None, ignore_eos=True, decoding="ftp_blocks(n=4)", temperature=0.0)]
    )
    assert (free.message.num_tokens, free.finish_reason) == (13, "length")
    stop = free.message.text[4:6]
    (stopped,) = generate(
        Engine(model),
        [asked(encoder=None, ignore_eos=True, decoding="ftp_blocks(n=4)", temperature=0.0, stop=(stop,))],
    )
    assert stopped.finish_reason == "stop"
    assert free.message.text.startswith(stopped.message.text)
    assert stop not in stopped.message.text


def test_the_encoder_reads_once_a_block(model, monkeypatch):
    read = []
    inner = model.read
    monkeypatch.setattr(model, "read", lambda *args, **more: read.append(len(args[3])) or inner(*args, **more))
    monkeypatch.setattr(model, "decode", None)
    generate(Engine(model), [asked(decoding="ftp_blocks(n=4)", ignore_eos=True)])
    assert read == [4, 4, 4]


def test_one_that_is_cancelled_ends_before_its_next_block(model):
    engine = Engine(model)
    row = engine.prepare(asked(decoding="ftp_blocks(n=2)", ignore_eos=True))
    engine.add(row)
    engine.step()
    engine.cancel(row)
    assert engine.step() == [row]
    assert (row.finish, row.step) == ("cancelled", 2)
    assert engine.is_idle


def test_whoever_follows_a_text_sees_it_block_by_block(folder):
    async def followed():
        backend = TransformersBackend(str(folder), dtype="float32")
        pending = backend.submit(asked(decoding="ftp_blocks(n=4)", encoder=None, ignore_eos=True, seed=1))
        pieces = [piece async for piece in pending]
        generation = await pending
        await backend.close()
        return pieces, generation.message.text

    pieces, text = asyncio.run(followed())
    assert "".join(pieces) == text
    # Of 13 tokens in blocks of four; the last one ends it.
    assert len([piece for piece in pieces if piece]) == 4


def test_what_is_read_is_not_said_by_blocks(model):
    weighed = [
        generate(Engine(model), [replace(asked(decoding=decoding, encoder=None), choices=("yes", "no"))])[
            0
        ].log_likelihoods
        for decoding in (None, "ftp_blocks")
    ]
    assert weighed[0] == weighed[1]


@pytest.fixture
def adapters(model, tmp_path):
    """Two adapters over every linear layer of what foretells."""
    folders = [tmp_path / "first", tmp_path / "second"]
    for seed, folder in enumerate(folders):
        generator = torch.Generator().manual_seed(seed)
        low = {}
        for name, layer in model.model.named_modules():
            if name.startswith("future.") and isinstance(layer, torch.nn.Linear):
                low[f"base_model.model.{name}.lora_A.weight"] = torch.randn(2, layer.in_features, generator=generator)
                low[f"base_model.model.{name}.lora_B.weight"] = torch.randn(layer.out_features, 2, generator=generator)
        folder.mkdir()
        save_file(low, folder / "adapter_model.safetensors")
        written = {"peft_type": "LORA", "r": 2, "lora_alpha": 2, "target_modules": ["memory"]}
        (folder / "adapter_config.json").write_text(json.dumps(written))
    return [str(folder) for folder in folders]


def test_what_is_foretold_is_foretold_under_the_rows_own_adapter(model, adapters):
    """Others, with adapters of their own, take their steps between two of its blocks."""
    blocks = replace(asked(ignore_eos=True), adapter=adapters[0])
    (alone,) = generate(Engine(model, max_num_seqs=4), [blocks])
    plain = [replace(asked(f"{n}", None, ignore_eos=True), adapter=adapters[1]) for n in range(2)]
    for others in (plain, [replace(plain[0], adapter=None)]):
        assert generate(Engine(model, max_num_seqs=4), [*others, blocks])[-1].message.digest == alone.message.digest


def test_every_position_that_is_weighed_is_under_the_adapter(model, adapters):
    """The same choice weighed at once, and letter by letter behind a prompt that grows."""
    request = replace(asked("Speak", None, encoder=None), adapter=adapters[0], choices=("yes", "no, never"))
    engine = Engine(model, max_num_seqs=4)
    (found,) = generate(engine, [request])
    row = engine.prepare(request)
    with torch.inference_mode():
        for ids, weighed in zip(row.choices, found.log_likelihoods, strict=True):
            inputs = torch.cat([row.prompt, model.table.weight[torch.tensor(ids)]])
            total = 0.0
            for place, token in enumerate(ids):
                cache = model.new_cache()
                cache.reserve(1, len(inputs))
                logits = model.prefill(cache, 0, 0, inputs[: len(row.keys) + place], adapters[0])
                total += float(torch.log_softmax(logits.double(), 0)[token])
            assert weighed == pytest.approx(total, rel=1e-4)


def test_what_cannot_be_is_a_sentence(model, tiny, folder):
    with pytest.raises(RequestError, match=r"foretells 4 tokens of a state; got n=5"):
        Engine(model).prepare(asked(decoding="ftp_blocks(n=5)"))
    plain = LoadedModel(tiny("llama"), name="llama", dtype="float32", device="cpu")
    with pytest.raises(RequestError, match=r"needs a model with a head for several tokens ahead"):
        Engine(plain).prepare(asked())
    with pytest.raises(ConfigError, match="n is a number of steps, at least 1"):
        parse_decoding("ftp_blocks(n=0)")
    with pytest.raises(ConfigError, match="feed is argmax or expected; got 'sampled'"):
        parse_decoding('ftp_blocks(feed="sampled")')
    backend = TransformersBackend(str(folder), dtype="float32")
    assert backend.capabilities.horizon == 4
    asyncio.run(backend.close())
