"""Tokenizers of bytes and sub-words as transformers loads them: SWE, and BPE, WordPiece and Unigram with the same beginnings.

All four cut a text into words as GPT-2 does, have a token for each of the 256 bytes and one for the end of a text, and give
every text back as it was, whatever is in it.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from agents.errors import ConfigError
from agents.models.subwords.vocabulary import Vocabulary, learned

END = "<|end|>"
KINDS = ("bpe", "wordpiece", "unigram")
# The end token and the bytes.
SMALLEST = 257


def symbols() -> list[str]:
    """Return the characters that stand for the 256 bytes, in their order as characters."""
    from tokenizers.pre_tokenizers import ByteLevel

    return sorted(ByteLevel.alphabet())


def count_words(texts: Iterable[str]) -> Counter[str]:
    """Return the words of texts, as symbols of bytes, with their counts."""
    words = _by_bytes()
    return Counter(word for text in texts for word, _ in words.pre_tokenize_str(text))


def swe_tokenizer(
    texts: Iterable[str], size: int, *, exchanges: int = 12, say: Callable[[str], None] = lambda _: None
) -> Any:
    """Return a PreTrainedTokenizerFast of exactly `size` tokens whose sub-words make texts likeliest (`vocabulary.learned`).

    Args:
        texts: what is learned from.
        size: tokens, the end of a text and the 256 bytes among them.
        exchanges: rounds of exchanges at most.
        say: told of each round.

    Raises:
        ConfigError: no text, a size below 257, or more than the text has sub-words.
    """
    _check(size)
    return as_tokenizer(learned(count_words(texts), symbols(), size - 1, exchanges=exchanges, say=say))


def as_tokenizer(vocabulary: Vocabulary) -> Any:
    """Return a tokenizer that cuts words into the likeliest tokens of a vocabulary whose symbols are bytes."""
    from tokenizers import Tokenizer, models

    log_p = vocabulary.log_p
    # The end is never read from a text's words, so its probability means nothing.
    scored = [(END, min(log_p.values())), *((token, log_p[token]) for token in vocabulary.tokens)]
    return _finished(Tokenizer(models.Unigram(scored, unk_id=None, byte_fallback=False)))


def trained_baseline(kind: str, texts: Iterable[str], size: int) -> Any:
    """Return a tokenizer of exactly `size` tokens by a trainer of the library tokenizers: `bpe`, `wordpiece` or `unigram`.

    Raises:
        ConfigError: another kind, a size below 257, or more than the text has sub-words.
    """
    from tokenizers import Tokenizer, models, trainers

    _check(size)
    asked: dict[str, Any] = {
        "vocab_size": size, "initial_alphabet": symbols(), "special_tokens": [END], "show_progress": False,
    }  # fmt: skip
    made: Any
    trainer: Any
    if kind == "bpe":
        made, trainer = Tokenizer(models.BPE()), trainers.BpeTrainer(**asked)
    elif kind == "wordpiece":
        # Words begin with their space, so the inside of a word needs no mark; no word is too long.
        model = models.WordPiece(unk_token=END, continuing_subword_prefix="", max_input_chars_per_word=1 << 40)
        made, trainer = Tokenizer(model), trainers.WordPieceTrainer(**asked, continuing_subword_prefix="")
    elif kind == "unigram":
        made, trainer = Tokenizer(models.Unigram()), trainers.UnigramTrainer(**asked, unk_token=None)
    else:
        raise ConfigError(f"a trainer is one of {', '.join(KINDS)}; got {kind!r}")
    made.pre_tokenizer = _by_bytes()
    made.train_from_iterator(texts, trainer)
    if (found := made.get_vocab_size()) != size:
        raise ConfigError(f"{kind} came to {found} tokens where {size} were asked for; give more text, or a lower size")
    return _finished(made)


def _check(size: int) -> None:
    if size < SMALLEST:
        raise ConfigError(f"a vocabulary has the 256 bytes and an end, at least {SMALLEST} tokens; got {size}")


def _by_bytes() -> Any:
    from tokenizers.pre_tokenizers import ByteLevel

    return ByteLevel(add_prefix_space=False)


def _finished(made: Any) -> Any:
    from tokenizers import decoders
    from transformers import PreTrainedTokenizerFast

    made.pre_tokenizer = _by_bytes()
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([END])
    return PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token=END, eos_token=END, pad_token=END, clean_up_tokenization_spaces=False
    )
