"""Heads of GGUF files that lie are refused before a library makes an object of what they say."""

import struct

import pytest

from agents.errors import ModelError
from agents.gguf_head import refuse_lying_head
from agents.gguf_model import convert_gguf


def text(said):
    return struct.pack("<Q", len(said)) + said


def entry(name, kind, value):
    return text(name) + struct.pack("<I", kind) + value


def numbers(kind, length):
    """Return the beginning of a list."""
    return struct.pack("<IQ", kind, length)


def head(*entries, said=None, tensors=0, rest=b""):
    count = len(entries) if said is None else said
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, count) + b"".join(entries) + rest


LLAMA = entry(b"general.architecture", 8, text(b"llama"))
BYTES = entry(b"tokenizer.ggml.model", 8, text(b"gpt2"))
TENSOR = text(b"t") + struct.pack("<IQIQ", 1, 32, 0, 0)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (head(LLAMA, entry(b"x", 9, numbers(0, 1 << 62))), "says 4,611,686,018,427,387,904 elements of lists"),
        (head(LLAMA, entry(b"x", 9, numbers(0, 1 << 20))), "says more than the file has"),
        (head(LLAMA, entry(b"x", 9, numbers(8, 1 << 20))), "says more than the file has"),
        (head(LLAMA, entry(b"x", 9, numbers(9, 1) * 5000)), "a list within a list"),
        (head(LLAMA, entry(b"x", 8, struct.pack("<Q", (1 << 64) - 1))), "says more than the file has"),
        (head(LLAMA, entry(b"x", 99, b"")), "a value is of type 99"),
        (head(LLAMA, said=1 << 60), "entries"),
        (head(LLAMA, said=5), "says more than the file has"),
        (head(LLAMA, tensors=1 << 60), "tensors"),
        (head(LLAMA, tensors=2, rest=TENSOR), "says more than the file has"),
        (head(LLAMA, tensors=1, rest=text(b"t") + struct.pack("<I", 1 << 31)), "sizes of a tensor"),
        (b"GGUF", "says more than the file has"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_head_that_lies_is_refused_in_a_moment(tmp_path, content, why):
    file = tmp_path / "m.gguf"
    file.write_bytes(content)
    with pytest.raises(ModelError, match=f"m.gguf has the head of no GGUF model: .*{why}"):
        convert_gguf(file, tmp_path / "into", lambda sentence: None)
    assert not (tmp_path / "into").exists()


def test_a_name_of_a_cut_that_is_no_text_is_not_known(tmp_path):
    pytest.importorskip("gguf")
    pytest.importorskip("accelerate")
    file = tmp_path / "m.gguf"
    file.write_bytes(head(LLAMA, BYTES, entry(b"tokenizer.ggml.pre", 9, numbers(8, 1) + text(b"gpt-2"))))
    with pytest.raises(ModelError, match="how its texts are cut into tokens is not known"):
        convert_gguf(file, tmp_path / "into", lambda sentence: None)


def test_a_sound_head_of_either_order_of_bytes_is_read(tmp_path):
    file = tmp_path / "m.gguf"
    file.write_bytes(head(LLAMA, entry(b"x", 9, numbers(6, 2) + b"\0" * 8), tensors=1, rest=TENSOR))
    refuse_lying_head(file)
    file.write_bytes(b"GGUF" + struct.pack(">IQQ", 3, 0, 1) + struct.pack(">Q", 1) + b"x" + struct.pack(">II", 4, 7))
    refuse_lying_head(file)
