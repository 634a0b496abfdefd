"""The tokenizer of a GGUF file: how it cuts a text before it merges, as llama.cpp cuts it for the name in `tokenizer.ggml.pre`.

The file has tokens and merges but of the cut only a name, whose meaning is llama.cpp's (`src/llama-vocab.cpp`); behind each
stands the expression that the models' own `tokenizer.json` publishes. Another cut gives other tokens for the same text, and
no error. So a name that is not known here is refused.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agents.errors import ModelError

PRE = "tokenizer.ggml.pre"
CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
NO_LETTER = r"[^\r\n\p{L}\p{N}]"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
SIGNS = r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]"""


def _words(digits: str) -> str:
    """Return the expression of cl100k and those after it, with runs of digits of some length."""
    return rf"{CONTRACTIONS}|{NO_LETTER}?\p{{L}}+|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{SPACES}"


def _cased(digits: str, ending: str = "") -> str:
    """Return the expression that also cuts before a capital, with runs of digits of some length."""
    words = rf"{NO_LETTER}?{UPPER}*{LOWER}+{ending}|{NO_LETTER}?{UPPER}+{LOWER}*{ending}"
    return rf"{words}|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{SPACES}"


# Expressions in the order in which they cut, each what the last has left whole; GPT2 is the byte-level tokenizer's own.
GPT2 = "gpt2"
LLAMA3, QWEN2 = (_words(r"\p{N}{1,3}"),), (_words(r"\p{N}"),)
MARKS = rf"{CONTRACTIONS}|{NO_LETTER}?[\p{{L}}\p{{M}}]+|\p{{N}}| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{SPACES}"
DEEPSEEK3 = (
    r"\p{N}{1,3}",
    "[一-龥\u3040-ゟ゠-ヿ]+",
    rf"{SIGNS}[A-Za-z]+|[^\r\n\p{{L}}\p{{P}}\p{{S}}]?[\p{{L}}\p{{M}}]+| ?[\p{{P}}\p{{S}}]+[\r\n]*|{SPACES}",
)
CUTS: Mapping[tuple[str, ...], tuple[str, ...]] = {
    ("gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion", "exaone4", "gigachat", "a.x-4.0", "mellum"): (GPT2,),
    (*("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b", "mellum2"),): (
        r"\p{N}",
        GPT2,
    ),
    (
        *("llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"),
        *("dbrx", "smaug-bpe", "glm4", "chatglm-bpe"),
    ): LLAMA3,
    (
        *("qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez", "stablelm2", "hunyuan", "solar-open", "grok-2"),
    ): QWEN2,
    ("qwen35",): (MARKS,),
    ("tekken",): (_cased(r"\p{N}"),),
    ("gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"): (_cased(r"\p{N}{1,3}", f"{CONTRACTIONS}?"),),
    ("deepseek-v3", "hunyuan-dense", "joyai-llm"): DEEPSEEK3,
    ("deepseek-coder",): (r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-\ud7ff]+", r"\p{N}"),
    ("falcon",): (r"[\p{P}$+<=>^~|`]+", GPT2, "[0-9][0-9][0-9]"),
    ("bloom", "poro-chat", "gpt3-finnish"): (r" ?[^(\s|.,!?…。，、।۔،)]+",),
    ("viking",): (r" ?[^(\s|.,!?…。，、।۔،)]+", r"\p{N}"),
}
KNOWN = {name: cuts for names, cuts in CUTS.items() for name in names}
# Where a piece that is a token stays one, whatever the merges would make of it; and where a BOS token is put before every text
# unless the file says otherwise.
WHOLE = {"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "tekken"}


def facts(file: Path) -> dict[str, Any]:
    """Return what a GGUF file says of its tokenizer, without its lists: model, pre, add_bos_token.

    Raises:
        ModelError: byte-level tokens whose cut has no name, or one that is not known here.
    """
    from gguf import GGUFReader

    fields = GGUFReader(file).fields
    names = ("model", "pre", "add_bos_token", "bos_token_id")
    found = {name: field.contents() for name in names if (field := fields.get(f"tokenizer.ggml.{name}")) is not None}
    if found.get("model") == "gpt2" and str(found.get("pre")) not in KNOWN:
        named = f"names {str(found['pre'])[:40]!r} in {PRE}" if "pre" in found else f"has no {PRE}"
        raise ModelError(
            f"{file.name} {named}, so how its texts are cut into tokens is not known. Known are {', '.join(sorted(KNOWN))}. "
            "Get the model in transformers' layout, or a newer conversion of it"
        )
    return found


def give_cut(tokenizer: Any, found: Mapping[str, Any]) -> Any:
    """Let a tokenizer that transformers made of a GGUF file cut texts, and begin them, as the file says.

    Args:
        tokenizer: of transformers; not used after.
        found: of `facts`.
    """
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    backend, byte_level = tokenizer.backend_tokenizer, found.get("model") == "gpt2"
    if byte_level:
        backend.pre_tokenizer = cutter(found["pre"])
        backend.model.ignore_merges = found["pre"] in WHOLE
    bos, wanted = tokenizer.bos_token, bool(found.get("add_bos_token", not byte_level or found["pre"] in WHOLE))
    has = tokenizer("x").input_ids[:1] == [tokenizer.bos_token_id]
    other_start = bos is not None and "bos_token_id" in found and wanted != has
    if other_start:
        start = [bos] if wanted else []
        backend.post_processor = TemplateProcessing(
            single=[*start, "$A"],
            pair=[*start, "$A", *(f"{token}:1" for token in start), "$B:1"],
            special_tokens=[(token, tokenizer.bos_token_id) for token in start],
        )
    if not byte_level and not other_start:
        return tokenizer
    # Of no class of its own, which would cut in a way of its own when it is read again.
    special = {name: token for name, token in tokenizer.special_tokens_map.items() if isinstance(token, str)}
    return PreTrainedTokenizerFast(tokenizer_object=backend, chat_template=tokenizer.chat_template, **special)


def cutter(name: str) -> Any:
    """Return the pre-tokenizer of a name in KNOWN."""
    from tokenizers import Regex
    from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split

    cuts = KNOWN[name]
    # Expressions are of characters, so bytes are made last; GPT-2's part makes them itself, and only digits are cut after it.
    parts = [
        ByteLevel(add_prefix_space=False, use_regex=True) if cut == GPT2 else Split(Regex(cut), behavior="isolated")
        for cut in cuts
    ]
    return Sequence(parts if GPT2 in cuts else [*parts, ByteLevel(add_prefix_space=False, use_regex=False)])
