"""A CIPHER message read as numpy arrays: the numbers that `message_file` reads, and damage refused; without torch."""

import random
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from support.fitted import CIPHER, TEXT, fitted, parts

from agents.errors import MessageError
from agents.message import Cipher
from agents.message_arrays import CipherArrays, read_arrays
from agents.message_file import from_bytes, to_bytes, write_message

BLOB = to_bytes(CIPHER)


def with_vectors(dtype):
    tensors = {**vars(CIPHER.cipher), "vectors": CIPHER.cipher.vectors.to(dtype) / 3}
    return replace(CIPHER, cipher=Cipher(**tensors))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_numbers_are_those_of_the_message(dtype):
    message = with_vectors(dtype)
    header, arrays = read_arrays(to_bytes(message))
    assert header.digest == message.digest
    assert (header.text, header.model, header.encoder) == (message.text, message.model, message.encoder)
    for name in CipherArrays.__dataclass_fields__:
        wanted = getattr(message.cipher, name)
        assert torch.equal(
            torch.tensor(getattr(arrays, name)), wanted.float() if wanted.is_floating_point() else wanted
        )


def test_what_was_rendered_on_other_tables_counts_in_the_digest():
    others = {"e" * 64: torch.ones(3, 2), "d" * 64: torch.zeros(3, 5)}
    message = replace(
        CIPHER, cipher=Cipher(**{**vars(CIPHER.cipher), "rendered": others}), thinking="<t>", thinking_tokens=1
    )
    header, _ = read_arrays(to_bytes(message))
    assert (header.digest, header.thinking_tokens) == (message.digest, 1)


@pytest.mark.parametrize(
    ("tensors", "sentence"),
    [
        ({"entropy": torch.full((3,), float("nan"))}, "entropy has a number that is not finite"),
        ({"nearest": torch.tensor([0, 1, 20])}, "nearest has an id outside the vocabulary of 20"),
        ({"top_ids": torch.tensor([5])}, "top_ids must be"),
        ({"top_ids": torch.full((3, 2), 0.5)}, "top_ids must be"),
        ({"embeddings": torch.zeros(3, 5)}, "vectors must be"),
        ({"entropy": torch.zeros(2)}, "entropy must be"),
    ],
)  # fmt: skip
def test_numbers_that_fit_their_digest_and_no_message_are_refused(tensors, sentence):
    _, header, _ = parts(BLOB)
    with pytest.raises(MessageError, match=f"^a file: {sentence}"):
        read_arrays(fitted(header, {**CIPHER.cipher.tensors(), **tensors}), source="a file")


def test_a_text_and_a_changed_message_are_refused():
    with pytest.raises(MessageError, match="a text, which has no vectors"):
        read_arrays(to_bytes(TEXT))
    with pytest.raises(MessageError, match="the checksum does not match"):
        read_arrays(BLOB[:-1] + bytes([BLOB[-1] ^ 1]))


def test_whatever_the_bytes_it_is_the_message_or_refused():
    draw = random.Random(0)
    for _ in range(3000):
        blob = bytearray(BLOB)
        for _ in range(draw.randint(1, 3)):
            match draw.randrange(3):
                case 0:
                    blob[draw.randrange(len(blob))] = draw.randrange(256)
                case 1:
                    del blob[draw.randrange(len(blob)) :]
                    blob += b"\0"
                case _:
                    place = draw.randrange(len(blob))
                    blob[place:place] = draw.randbytes(draw.randint(1, 9))
        try:
            header, _ = read_arrays(bytes(blob))
        except MessageError:
            continue
        assert from_bytes(BLOB).digest == header.digest


def test_torch_is_not_imported(tmp_path):
    path = write_message(CIPHER, tmp_path / "m.safetensors")
    code = (
        "import sys; from pathlib import Path; from agents.message_arrays import read_arrays; "
        "from agents.message_file import read_message_bytes; "
        "read_arrays(read_message_bytes(Path(sys.argv[1]))); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == 0
