"""Messages: values, files, and what is said when a file is not sound."""

import json
import struct

import pytest
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from agents.errors import MessageError, MessageMismatch, RunError
from agents.fingerprint import ModelFingerprint
from agents.message import Cipher, Message
from agents.message_file import KEY, from_bytes, read_message, to_bytes, write_message

MODEL = ModelFingerprint("tiny", "a" * 64, "b" * 64, vocabulary=20, width=4)
OTHER = ModelFingerprint("other", "c" * 64, "d" * 64, vocabulary=20, width=4)


def cipher(steps=3, dtype=torch.float32, **changes):
    generator = torch.Generator().manual_seed(0)
    fields = {
        "vectors": torch.randn(steps, 4, generator=generator).to(dtype),
        "nearest": torch.arange(steps) % 20,
        "entropy": torch.full((steps,), 0.5),
        "max_probability": torch.full((steps,), 0.9),
        "top_ids": torch.arange(steps * 2).reshape(steps, 2) % 20,
        "top_probabilities": torch.tensor([[0.9, 0.1]] * steps).reshape(steps, 2),
    }
    return Cipher(**{**fields, **changes})


def message(**changes):
    said = changes.pop("cipher", None) or cipher(**changes)
    return Message("abc", MODEL, 0.7, tuple(said.nearest.tolist()), "expectation", said)


TEXT = Message("héllo", MODEL, 0.7, (1, 2, 3))


def test_messages_compare_and_hash_by_value():
    assert message() == message()
    assert hash(message()) == hash(message())
    assert message() != message(entropy=torch.full((3,), 0.6))
    assert message() != TEXT
    assert len({message(), message(), TEXT}) == 2


def test_messages_are_frozen():
    with pytest.raises(AttributeError):
        TEXT.text = "other"  # type: ignore[misc]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("steps", [0, 1, 3])
def test_a_cipher_message_survives_the_disk_and_is_the_same_bytes(tmp_path, dtype, steps):
    original = message(steps=steps, dtype=dtype)
    path = write_message(original, tmp_path / "deep" / "m.safetensors")
    assert read_message(path, receiver=MODEL) == original
    assert to_bytes(original) == to_bytes(read_message(path)) == path.read_bytes()
    assert [file.name for file in path.parent.iterdir()] == ["m.safetensors"]


def test_a_text_message_survives_the_disk(tmp_path):
    assert read_message(write_message(TEXT, tmp_path / "t.safetensors")) == TEXT


def test_size_is_the_vectors_and_a_small_header():
    said = message(steps=1000, cipher=cipher(1000))
    assert said.num_bytes == 1000 * 4 * 4
    per_step = 4 * 4 + 8 + 4 + 4 + 2 * (8 + 4)
    assert len(to_bytes(said)) < 1000 * per_step + 2000


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"vectors": torch.zeros(3)}, "embeddings must be"),
        ({"vectors": torch.zeros(3, 4, dtype=torch.int32)}, "embeddings must be"),
        ({"entropy": torch.zeros(2)}, r"entropy must be \[3\] in float32"),
        ({"nearest": torch.zeros(3)}, r"nearest must be \[3\] in int64"),
        ({"vectors": torch.tensor([[0.0] * 4, [float("nan")] * 4, [0.0] * 4])}, "not finite, first at step 1 of 3"),
        (
            {"max_probability": torch.tensor([0.0, 0.0, float("inf")])},
            "max_probability has a number that is not finite",
        ),
        ({"top_probabilities": torch.zeros(3, 1)}, r"top_probabilities must be \[3, 2\] in float32"),
        ({"top_ids": torch.zeros(3, dtype=torch.int64)}, r"top_ids must be \[3, K\] in int64; got \[3\] in int64"),
        ({"top_ids": torch.zeros(2, 2, dtype=torch.int64)}, r"top_ids must be \[3, 2\] in int64; got \[2, 2\]"),
    ],
)
def test_what_is_wrong_with_vectors_is_said(changes, sentence):
    with pytest.raises(MessageError, match=sentence):
        cipher(**changes)


def test_ids_outside_the_vocabulary_are_refused():
    with pytest.raises(MessageError, match="outside the vocabulary of 20"):
        message(nearest=torch.tensor([0, 1, 20]))


def test_vectors_of_another_width_are_refused():
    with pytest.raises(MessageError, match="5 wide, but tiny has 4"):
        message(vectors=torch.zeros(3, 5))


def test_a_truncated_file_says_so(tmp_path):
    path = write_message(message(), tmp_path / "m.safetensors")
    whole = path.read_bytes()
    for length in (0, 4, 40, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(MessageError, match=r"m\.safetensors: truncated, or not a safetensors file"):
            read_message(path)


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(MessageError, match="cannot read the message"):
        read_message(tmp_path / "none")


def tampered(original, *, tensors=None, header=None):
    """Return the blob with tensors or header fields exchanged, as an attacker or a bug would."""
    blob = to_bytes(original)
    (length,) = struct.unpack("<Q", blob[:8])
    found = json.loads(json.loads(blob[8 : 8 + length])["__metadata__"][KEY])
    return save_tensors(
        {**load_tensors(blob), **(tensors or {})}, metadata={KEY: json.dumps({**found, **(header or {})})}
    )


def test_nan_on_the_wire_is_refused_by_name():
    bad = torch.full((3, 4), float("nan"))
    with pytest.raises(MessageError, match="from a peer: embeddings has a number that is not finite"):
        from_bytes(tampered(message(), tensors={"embeddings": bad}), source="from a peer")


def test_changed_content_fails_the_checksum():
    with pytest.raises(MessageError, match="checksum"):
        from_bytes(tampered(message(), tensors={"embeddings": torch.zeros(3, 4)}))
    with pytest.raises(MessageError, match="checksum"):
        from_bytes(tampered(message(), header={"text": "something else"}))


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ({"format": 99}, "format 99"),
        ({"model": {"model": "x"}}, "header is malformed"),
        ({"temperature": 0.9}, "checksum"),
    ],
)
def test_a_malformed_header_is_refused(header, sentence):
    with pytest.raises(MessageError, match=sentence):
        from_bytes(tampered(message(), header=header))


def test_another_safetensors_file_is_not_a_message():
    with pytest.raises(MessageError, match="not a message"):
        from_bytes(save_tensors({"x": torch.zeros(1)}))


def test_a_message_of_another_model_names_both(tmp_path):
    path = write_message(message(), tmp_path / "m.safetensors")
    with pytest.raises(MessageMismatch, match=r"tiny \(table aaaaaaaa.*other \(table cccccccc.*tokenizers differ"):
        read_message(path, receiver=OTHER)


def test_an_unwritable_place_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot write .*m\.safetensors"):
        write_message(message(), tmp_path / "file" / "m.safetensors")


def test_vectors_of_another_shape_are_refused_with_what_they_are():
    with pytest.raises(MessageError, match=r"embeddings must be \[T, D\] in float32, .*; got \[3\] in float64"):
        Cipher.of({**cipher().tensors(), "embeddings": torch.zeros(3, dtype=torch.float64)})


def test_an_error_says_what_it_is_about():
    with pytest.raises(MessageError, match=r"^message: "):
        from_bytes(b"")
    with pytest.raises(MessageError, match=r"^from ada: "):
        from_bytes(b"", source="from ada")


def test_vectors_for_hearers_with_other_tables_survive_the_disk():
    rendered = {"e" * 64: torch.ones(3, 2), "random:" + "f" * 64: torch.zeros(3, 7, dtype=torch.bfloat16)}
    found = from_bytes(to_bytes(message(rendered=rendered)))
    assert found == message(rendered=rendered) != message()
    assert {name: vectors.shape[1] for name, vectors in found.cipher.rendered.items()} == {
        "e" * 64: 2,
        "random:" + "f" * 64: 7,
    }


@pytest.mark.parametrize(
    "vectors",
    [torch.zeros(3), torch.zeros(2, 4), torch.zeros(3, 4, dtype=torch.float64)],
    ids=["flat", "short", "float64"],
)
def test_vectors_for_another_table_have_a_row_for_each_step(vectors):
    with pytest.raises(MessageError, match=r"vectors rendered for table eeeeeeee must be \[3, D\]; got"):
        cipher(rendered={"e" * 64: vectors})


def test_the_step_whose_weights_sum_to_too_much_is_named():
    weights = torch.tensor([[0.9, 0.1], [1.0, 0.0], [0.9, 0.2]])
    with pytest.raises(MessageError, match="sum to more than 1, first at step 2 of 3"):
        cipher(top_probabilities=weights)


def test_a_message_with_its_thinking_and_without():
    assert TEXT.whole is TEXT
    assert TEXT.answer is TEXT
    thought = Message("5", MODEL, 0.7, (1, 2, 3), thinking="4?", thinking_tokens=2)
    assert thought.whole == Message("4?5", MODEL, 0.7, (1, 2, 3))
    assert thought.answer == Message("5", MODEL, 0.7, (3,))
    # Tokens that read as nothing are thinking too, and so are words without tokens, as of a model behind an API.
    silent, untold = Message("5", MODEL, 0.7, (1, 2), thinking_tokens=1), Message("5", MODEL, 0.7, thinking="4?")
    assert (silent.whole.thinking_tokens, silent.answer.token_ids) == (0, (2,))
    assert (untold.whole.text, untold.answer.thinking) == ("4?5", "")


def test_a_cipher_message_is_as_long_as_its_steps():
    assert [len(cipher(steps)) for steps in (0, 1, 5)] == [0, 1, 5]
    assert len(cipher(5).part(slice(1, 3))) == 2
