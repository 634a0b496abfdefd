"""ATLAS in the engine's cache: what is noted of a row's beginning, so that it is hashed once and not at every step."""

import pytest
import torch
from support.plain_loops import generate

from agents.backend import Prompt, Request, Sampling
from agents.backends.transformers.cache import SlotCache, SlotLayer, Window
from agents.backends.transformers.decoder import Decoder
from agents.backends.transformers.engine import Engine
from agents.backends.transformers.model import LoadedModel
from agents.models import remembered
from agents.models.atlas import model as atlas_model
from agents.models.atlas.model import AtlasConfig, AtlasForCausalLM, MemoryMixer
from agents.models.glyphs.table import character_tokenizer
from agents.models.seeded import seeded

TOKENIZER = character_tokenizer()
CONFIG = AtlasConfig(
    vocab_size=len(TOKENIZER), hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
    num_key_value_heads=2, max_position_embeddings=512, tie_word_embeddings=True, pad_token_id=0, bos_token_id=1,
    eos_token_id=2, chunk=8, rate=1.0 / 8,
)  # fmt: skip


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    path = tmp_path_factory.mktemp("atlas")
    seeded(lambda: AtlasForCausalLM(CONFIG), 3).eval().save_pretrained(path)
    TOKENIZER.save_pretrained(path)
    return LoadedModel(path, name="atlas", dtype="float32", device="cpu", rows=4)


def test_a_position_is_hashed_once_a_row_and_layer_and_a_shared_beginning_once_in_all(loaded, monkeypatch):
    """The pitfall of hashing a row's whole beginning at each of its steps; what is said is the same without any notes."""
    tale = "An old tale that is told at the beginning of every prompt, and shared, and longer than two segments of positions; "
    asked = [
        Request(Prompt.of(tale + end), Sampling(max_tokens=70, seed=n, ignore_eos=True))
        for n, end in enumerate(("a", "b"))
    ]
    hashed = []
    plain = remembered._bytes
    monkeypatch.setattr(remembered, "_bytes", lambda x: hashed.append(x.shape[-2]) or plain(x))
    for module in loaded.model.modules():
        if isinstance(module, MemoryMixer):
            module._states.clear()
    found = generate(Engine(loaded, max_num_seqs=2), asked)
    taps = atlas_model.TAPS
    positions = sum(count for count in hashed if count != taps) // 2
    layers, length = 2, len(loaded.tokenizer(tale + "a\nAnswer:").input_ids)
    segments = (length + 69) // atlas_model.SEGMENT
    # Both rows, as the second may not have found the first one's beginning yet; step by step it was some 70 times as much.
    assert positions <= 2 * layers * segments * atlas_model.SEGMENT
    hashed.clear()
    monkeypatch.setattr(SlotLayer, "notes_of", lambda layer, slot: None)
    again = generate(Engine(loaded, max_num_seqs=2), asked)
    assert [one.message.digest for one in again] == [one.message.digest for one in found]
    assert sum(count for count in hashed if count != taps) // 2 > 50 * positions


def test_notes_are_struck_where_their_positions_are_written_over_and_copied_with_them():
    cache = SlotCache(1)
    cache.reserve(3, 256)
    (layer,), states = cache.layers, torch.zeros(1, 1, 1, 2)

    def write(first, start, positions=None):
        last = first + (1 if positions is None else len(positions))
        cache.window = Window(first, last, positions, start, 200)
        count = 1 if positions is None else len(positions)
        layer.update(states.expand(count, -1, -1, -1), states.expand(count, -1, -1, -1))

    write(0, 0)
    layer.notes_of(0).extend([(64, "a"), (128, "b"), (192, "c")])
    write(0, 192)
    assert len(layer.notes_of(0)) == 3
    cache.copy(0, 1, 150)
    assert layer.notes_of(1) == [(64, "a"), (128, "b")]
    write(0, 0, torch.tensor([191, 64]))
    assert (layer.notes_of(0), layer.notes_of(1)) == ([(64, "a"), (128, "b")], [(64, "a")])
    write(1, 63)
    assert (len(layer.notes_of(0)), layer.notes_of(1)) == (2, [])


def test_a_row_whose_keys_are_gathered_reads_the_notes_of_its_own_slot(loaded, monkeypatch):
    """On a GPU rows that are no first slots, as those of a search, are given to attention without the others' keys."""
    length = atlas_model.SEGMENT + 6
    rows = torch.randn(3, length + 1, 16, generator=torch.Generator().manual_seed(0))
    heard = {}
    for by_row in (True, False):
        monkeypatch.setattr(Decoder, "_by_row", by_row)
        cache = loaded.new_cache()
        cache.reserve(3, length + 1)
        with torch.inference_mode():
            for slot, row in enumerate(rows):
                loaded.prefill(cache, slot, 0, row[:length])
            heard[by_row] = [
                loaded.decode(cache, rows[slots, length], torch.full((len(slots),), length), [None] * len(slots), slots)
                for slots in ([0], [2, 1])
            ]
    for own, gathered in zip(heard[True], heard[False], strict=True):
        torch.testing.assert_close(gathered, own)
