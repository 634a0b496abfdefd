"""How the tokenizer of a GGUF file cuts texts: as its name says, or not at all."""

import importlib.util
import json
from pathlib import Path

import pytest
import torch
from support.gguf_files import write_gguf

from agents import pretrained
from agents.errors import ModelError
from agents.gguf_tokenizer import KNOWN, cutter
from agents.model_folder import read_tokenizer

TEXT = "I've 12345 Ünits, HTTPServer!\n\n  x=1"


def pieces(name, text=TEXT):
    """Return the pieces of a text; what is spelt in bytes is spelt in characters again."""
    from tokenizers import decoders

    return [decoders.ByteLevel().decode([piece]) for piece, _ in cutter(name).pre_tokenize_str(text)]


GPT2 = ["I", "'ve", " 12345", " Ünits", ",", " HTTPServer", "!", "\n\n ", " x", "=", "1"]
CASES = {
    "gpt-2": GPT2,
    "olmo": GPT2,
    "smollm": ["I", "'ve", " ", *"12345", " Ünits", ",", " HTTPServer", "!", "\n\n ", " x", "=", "1"],
    "llama-bpe": ["I", "'ve", " ", "123", "45", " Ünits", ",", " HTTPServer", "!\n\n", " ", " x", "=", "1"],
    "qwen2": ["I", "'ve", " ", *"12345", " Ünits", ",", " HTTPServer", "!\n\n", " ", " x", "=", "1"],
    "tekken": ["I", "'ve", " ", *"12345", " Ünits", ",", " HTTPServer", "!\n\n", " ", " x", "=", "1"],
    "gpt-4o": ["I've", " ", "123", "45", " Ünits", ",", " HTTPServer", "!\n\n", " ", " x", "=", "1"],
    "deepseek-v3": ["I", "'ve", " ", "123", "45", " Ünits", ",", " HTTPServer", "!\n\n", " ", " x", "=", "1"],
    "deepseek-coder": [
        "I",
        "'",
        "ve",
        " ",
        *"12345",
        " Ünits",
        ",",
        " HTTPServer",
        "!",
        "\n",
        "\n",
        " ",
        " x",
        "=",
        "1",
    ],
    "falcon": ["I", "'", "ve", " ", "123", "45", " Ünits", ",", " HTTPServer", "!", "\n\n ", " x", "=", "1"],
}


@pytest.mark.parametrize("name", CASES)
def test_a_text_is_cut_as_the_name_says(name):
    assert pieces(name) == CASES[name]


@pytest.mark.parametrize("name", KNOWN)
def test_no_cut_loses_a_character(name):
    text = "Äpfel 二三 ¾ 12,345.6\t\r\n\r\n don't — 'S ЁЖ ก็ 👍🏽 (a|b)…  "
    assert "".join(pieces(name, text)) == text


@pytest.mark.parametrize("name", KNOWN)
def test_those_that_transformers_knows_are_cut_as_it_cuts_them(name):
    splits = pytest.importorskip("transformers.integrations.gguf.gguf_tokenizer_mapping").GGUF_PRE_TOKENIZER_SPLITS
    from tokenizers import Regex
    from tokenizers.pre_tokenizers import Split

    if name not in splits:
        pytest.skip("it cuts this one as GPT-2 does")
    for text in (TEXT, "Äpfel 二三 ¾ 12,345.6\t\r\n\r\n don't — 'S ЁЖ ก็ camelCase/UPPERlower\n/ I'LL"):
        theirs = Split(Regex(splits[name]), behavior="isolated").pre_tokenize_str(text)
        assert pieces(name, text) == [piece for piece, _ in theirs]


def test_tekken_gives_the_tokens_that_its_own_library_gives():
    """Mistral's own tokenizer, by its own file: where a piece is a token it is taken whole, else its bytes are merged by rank."""
    spec = importlib.util.find_spec("mistral_common")
    if spec is None:
        pytest.skip("mistral-common is not installed")
    file = Path(spec.submodule_search_locations[0]) / "data" / "tekken_240911.json"
    from mistral_common.tokens.tokenizers.tekken import Tekkenizer

    own = Tekkenizer.from_file(file)
    for text in (TEXT, "The HTTPServer of 2026 isn't iPhone-ready: naïve Ångström, 二三 и ЁЖ.\n\n\tEnd"):
        ids = own.encode(text, bos=False, eos=False)
        # No token reaches over the end of a piece, and a piece that is a token is one.
        ends, found = set(), 0
        for piece in pieces("tekken", text):
            found += len(piece.encode())
            ends.add(found)
        reached, bounds = 0, set()
        for token in ids:
            reached += len(own.id_to_byte_piece(token))
            bounds.add(reached)
        assert ends <= bounds
        vocabulary = {own.id_to_byte_piece(token) for token in set(ids)}
        assert sum(piece.encode() in vocabulary for piece in pieces("tekken", text)) >= len(ends) // 2


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("CIPHER_DEBATE_HOME", str(tmp_path / "home"))


@pytest.fixture
def llama(tiny):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tiny("llama-wide", chat=True)
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize(
    ("pre", "named"), [("mystery", "names 'mystery' in"), ("default", "names 'default' in"), (None, "has no")]
)
def test_a_cut_that_is_not_known_is_refused_by_name(tmp_path, home, llama, pre, named):
    write_gguf(tmp_path / "m.gguf", *llama, pre=pre)
    with pytest.raises(ModelError, match=rf"^m\.gguf {named} .*Known are .*gpt-2.*llama-bpe.*smollm"):
        pretrained.locate(str(tmp_path / "m.gguf"))


@pytest.mark.parametrize(
    ("pre", "bos", "begins"),
    [("smollm", None, False), ("smollm", True, True), ("llama-bpe", None, True), ("llama-bpe", False, False)],
)
def test_the_tokenizer_that_is_read_again_cuts_and_begins_as_the_file_says(tmp_path, home, llama, pre, bos, begins):
    write_gguf(tmp_path / "m.gguf", *llama, pre=pre, bos=bos)
    folder = pretrained.locate(str(tmp_path / "m.gguf"))
    tokenizer = read_tokenizer(folder)
    assert [p for p, _ in tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str(TEXT)] == [
        p for p, _ in cutter(pre).pre_tokenize_str(TEXT)
    ]
    assert tokenizer.backend_tokenizer.model.ignore_merges == (pre == "llama-bpe")
    first = tokenizer("Hi").input_ids[0]
    assert (first == llama[1].bos_token_id) == begins
    assert (tokenizer.eos_token, tokenizer.chat_template) == (llama[1].eos_token, llama[1].chat_template)
    assert json.loads((folder / "tokenizer_config.json").read_text())["eos_token"] == llama[1].eos_token
