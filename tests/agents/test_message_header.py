"""Message files from strangers: whatever is in one, it is a message in its one form, or refused in a sentence."""

import json
import os
import random
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load as load_tensors
from support.fitted import CIPHER, MODEL, TEXT, fitted, parts

from agents.errors import MessageError
from agents.message import Message
from agents.message_file import from_bytes, read_message, to_bytes
from agents.message_header import KEY, LARGEST_HEADER

BLOBS = (to_bytes(TEXT), to_bytes(CIPHER))
SEEDS_A_TEST, FILES_A_SEED = 220, 100


def packed(table, tensors=b""):
    """Return a file of any header, in the safetensors layout."""
    raw = table if isinstance(table, bytes) else json.dumps(table).encode()
    return len(raw).to_bytes(8, "little") + raw + tensors


def changed(message, tensors=None, **fields):
    """Return a file of a message with header fields and tensors exchanged, its digest made to fit."""
    _, header, _ = parts(to_bytes(message))
    order = message.cipher.tensors() if message.cipher else load_tensors(to_bytes(message))
    return fitted({**header, **fields}, {**order, **(tensors or {})})


def test_what_is_not_exchanged_stays_sound():
    assert from_bytes(changed(TEXT)) == TEXT
    assert from_bytes(changed(CIPHER)) == CIPHER
    thinking = from_bytes(changed(TEXT, thinking="<t>", thinking_tokens=2))
    assert (thinking.thinking, thinking.thinking_tokens) == ("<t>", 2)
    for thought in ({"thinking": "<t>"}, {"thinking_tokens": 2}):
        message = replace(TEXT, **thought)
        assert from_bytes(to_bytes(message)) == message != TEXT


@pytest.mark.parametrize("original", [TEXT, CIPHER], ids=["text", "cipher"])
@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"temperature": "hot"}, "temperature must be a number of at least 0"),
        ({"temperature": True}, "temperature must be a number"),
        ({"temperature": -0.1}, "temperature must be a number of at least 0"),
        ({"temperature": float("nan")}, "temperature must be a number"),
        ({"temperature": float("inf")}, "temperature must be a number"),
        ({"temperature": 10**400}, "temperature must be a number"),
        ({"text": 5}, "text must be a text"),
        ({"text": "\ud800"}, "text must be a text of valid Unicode"),
        ({"format": True}, "format True; this version reads format 1"),
        ({"format": 2}, "format 2; this version reads format 1"),
        ({"model": None}, "model must be an object"),
        ({"model": {**MODEL.sender(), "vocabulary": -1}}, "vocabulary must be a whole number of at least 0"),
        ({"model": {**MODEL.sender(), "vocabulary": 1 << 31}}, "vocabulary must be .* below 2,147,483,648"),
        ({"model": {**MODEL.sender(), "width": 4.0}}, "width must be a whole number"),
        ({"model": {**MODEL.sender(), "table": 5}}, "table must be a hash"),
        ({"model": {**MODEL.sender(), "tokenizer": "\x1b[2J"}}, "tokenizer must be a hash"),
        ({"model": {**MODEL.sender(), "owner": "me"}}, "model has 'owner', which no message has"),
        ({"thinking_tokens": 4}, "4 tokens of thinking in a message of 3"),
        ({"thinking": 5, "thinking_tokens": 1}, "thinking must be a text"),
        ({"thinking": "", "thinking_tokens": -1}, "thinking_tokens must be a whole number"),
        ({"thinking_tokens": 0}, "checksum does not match"),
        ({"note": "hi"}, "the header has 'note', which no message has"),
    ],
)  # fmt: skip
def test_a_field_of_another_type_or_out_of_range_is_refused(original, fields, sentence):
    with pytest.raises(MessageError, match=f"^a peer: .*{sentence}"):
        from_bytes(changed(original, **fields), source="a peer")


def test_an_encoder_that_is_no_text_is_named():
    with pytest.raises(MessageError, match="encoder must be a text"):
        from_bytes(changed(CIPHER, encoder=5))


@pytest.mark.parametrize(
    ("tensors", "sentence"),
    [
        ({"entropy": torch.tensor([0.0, -0.5, 0.0])}, "entropy has a number that is below 0, first at step 1 of 3"),
        ({"max_probability": torch.tensor([0.5, 0.5, 1.5])}, "max_probability has a number that is above 1, .* step 2"),
        # In float32 this is just above the bound, and equal to it where they are compared in float32.
        ({"max_probability": torch.tensor([1.0, 1.00001, 0.9])}, "max_probability has a number that is above 1, .* step 1"),
        ({"top_probabilities": torch.full((3, 2), -1.0)}, "top_probabilities has a number that is below 0"),
        ({"entropy": torch.full((3,), float("inf"))}, "entropy has a number that is not finite"),
        ({"top_probabilities": torch.full((3, 2), 0.7)}, "weights that sum to more than 1, first at step 0"),
        ({"nearest": torch.tensor([0, 1, 20])}, "nearest has an id outside the vocabulary of 20"),
        ({"top_ids": torch.full((3, 2), -1)}, "top_ids has an id outside the vocabulary"),
        ({"embeddings": torch.zeros(3, 5)}, "5 wide, but tiny has 4"),
        ({"entropy": torch.zeros(3, dtype=torch.float64)}, "entropy must be"),
        ({"spare": torch.zeros(1)}, "a tensor that a CIPHER message does not have: 'spare'"),
    ],
)  # fmt: skip
def test_a_tensor_out_of_range_is_refused(tensors, sentence):
    with pytest.raises(MessageError, match=sentence):
        from_bytes(changed(CIPHER, tensors))


def test_a_message_is_rendered_on_twelve_other_tables_at_most():
    tables = {f"{number:064x}": torch.zeros(3, 2) for number in range(13)}
    rendered = [
        replace(CIPHER, cipher=replace(CIPHER.cipher, rendered=dict(list(tables.items())[:count])))
        for count in (12, 13)
    ]
    assert from_bytes(to_bytes(rendered[0])) == rendered[0]
    with pytest.raises(MessageError, match="a tensor that a CIPHER message does not have: 'rendered.000"):
        from_bytes(to_bytes(rendered[1]))


@pytest.mark.parametrize(
    "ids", [[1, 2, 20], [1, 2, -1], [1, 2, True], [1, 2, 3.0], [1, 2], [1, 2, 4], "123", None], ids=str
)
def test_token_ids_are_whole_numbers_of_the_vocabulary_and_agree_with_the_tensor(ids):
    with pytest.raises(MessageError, match=r"token_ids must be|header and tensors disagree"):
        from_bytes(changed(TEXT, token_ids=ids))


def test_a_text_has_no_other_tensor():
    with pytest.raises(MessageError, match="a tensor that a text does not have: 'embeddings'"):
        from_bytes(changed(TEXT, {"embeddings": torch.zeros(1)}))


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (b"[" * 100_000, "more objects and lists than a message's"),
        ({"__metadata__": {KEY: "[" * 100_000}}, "more objects and lists than a message's"),
        ({"__metadata__": {KEY: '{"a":' * 50_000}}, "more objects and lists than a message's"),
        ({"__metadata__": {KEY: '{"digest": ' + "9" * 5000 + "}"}}, "it is no JSON"),
        ({"__metadata__": {KEY: '"' + '\\"' * 100_000}}, "it is no JSON"),
        ({"__metadata__": {KEY: "[1]"}}, "it is a list, not an object"),
        ({"__metadata__": None}, "no 'cipher-debate' header"),
        ({"__metadata__": {KEY: 5}}, "no 'cipher-debate' header"),
        ({"__metadata__": {KEY: "{}", "more": "{}"}}, "no 'cipher-debate' header"),
        (b"\xff\xfe", "truncated, or not a safetensors file"),
        (b"", "it is no JSON"),
    ],
)  # fmt: skip
def test_deep_and_odd_headers_are_refused(table, sentence):
    with pytest.raises(MessageError, match=sentence):
        from_bytes(packed(table))


def test_a_huge_header_is_refused_before_it_is_read():
    with pytest.raises(MessageError, match="the header has 8,388,609 bytes; a message's has at most"):
        from_bytes(packed(b" " * (LARGEST_HEADER + 1)))


@pytest.mark.parametrize("shape", [[0, 2**64 - 1], [0, 2**40], [-1], [1, 1, 1], [1.0], "3", None], ids=str)
def test_shapes_that_overflow_are_refused(shape):
    table, _, tensors = parts(to_bytes(TEXT))
    with pytest.raises(MessageError, match="shape of token_ids must be one or two sizes"):
        from_bytes(packed({**table, "token_ids": {**table["token_ids"], "shape": shape}}, tensors))


def test_a_message_has_one_form():
    """Spaces, another order of keys, a key said twice and other bytes that mean nothing would be other files of one message."""
    blob = to_bytes(CIPHER)
    table, header, tensors = parts(blob)
    raw = json.dumps(table, separators=(",", ":"))
    others = [
        packed({**table, "__metadata__": {KEY: json.dumps(header)[:-1] + " }"}}, tensors),
        packed({**table, "__metadata__": {KEY: json.dumps(dict(reversed(header.items())))}}, tensors),
        packed({**table, "__metadata__": {KEY: json.dumps({"text": "x"})[:-1] + ", " + json.dumps(header)[1:]}}, tensors),
        packed(raw.encode() + b" " * 64, tensors),
        packed(json.dumps(dict(reversed(table.items()))).encode(), tensors),
    ]  # fmt: skip
    for other in others:
        with pytest.raises(MessageError, match="not in the one form|malformed"):
            from_bytes(other)
    with pytest.raises(MessageError):
        from_bytes(blob + b"\0")


def test_what_is_no_ordinary_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(MessageError, match="cannot read the message"):
            read_message(path)
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(MessageError, match="cannot read the message .*: it has 1,099,511,627,776 bytes"):
        read_message(tmp_path / "huge")


def test_a_text_may_be_full_of_brackets():
    """They are counted outside of texts alone."""
    said = Message('[{"' * 500 + "}]" * 500, MODEL, 0.5, (1,))
    assert from_bytes(to_bytes(said)) == said


ODD = (
    None, True, -1, 0, 1.5, 2**63, 2**64 - 1, 10**30, 1e308, "", "x", "\x00", "\ud800", [], {}, [[]], {"a": []}, "expectation",
)  # fmt: skip


def mutated(blob, chance):
    """Return a file with something changed: bytes, a value of a header, or both headers made to fit again."""
    match chance.randrange(8):
        case 0:
            return blob[: chance.randrange(len(blob))]
        case 1:
            place, count = chance.randrange(len(blob)), chance.randrange(1, 9)
            return blob[:place] + chance.randbytes(count) + blob[place:]
        case 2:
            place = chance.randrange(len(blob))
            return blob[:place] + blob[place + chance.randrange(1, 9) :]
        case 3 | 4:
            changed_bytes = bytearray(blob)
            for _ in range(chance.randrange(1, 5)):
                changed_bytes[chance.randrange(len(blob))] ^= 1 << chance.randrange(8)
            return bytes(changed_bytes)
        case 5:
            table, _, tensors = parts(blob)
            name = chance.choice([*table])
            table[name] = {**table[name], chance.choice(["dtype", "shape", "data_offsets", KEY]): chance.choice(ODD)}
            return packed(table, tensors)
        case _:
            _, header, _ = parts(blob)
            inside = header["model"] if chance.random() < 0.4 else header
            inside[chance.choice([*inside, "other"])] = chance.choice(ODD)
            tensors = load_tensors(blob)
            if chance.random() < 0.5:
                tensors[chance.choice([*tensors])] = torch.full((chance.randrange(4),), chance.choice([0.0, -1.0, 2.0]))
            return fitted(header, tensors)


@settings(max_examples=SEEDS_A_TEST, deadline=None, database=None, derandomize=True)
@given(st.integers(0, 2**64 - 1))
def test_a_mutated_file_is_a_message_in_its_one_form_or_a_message_error(seed):
    """22,000 files; `python tests/agents/test_message_header.py N` tries more."""
    try_mutated(seed)


def try_mutated(seed):
    chance = random.Random(seed)
    for _ in range(FILES_A_SEED):
        blob = mutated(chance.choice(BLOBS), chance)
        sentence = ""
        try:
            message = from_bytes(blob)
        except MessageError as error:
            sentence = str(error)
        if sentence:
            assert sentence.startswith("message: ")
            assert sentence.isprintable()
        else:
            assert to_bytes(message) == blob


if __name__ == "__main__":
    import sys

    for number in range(int(sys.argv[1]) // FILES_A_SEED):
        try_mutated(number)
