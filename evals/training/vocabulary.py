"""The debaters' tokenizer: characters one by one, and the phrases of the prompts as one token each."""

from typing import Any

PAD, BOS, EOS, UNKNOWN = "<pad>", "<bos>", "<eos>", "<unk>"
PHRASES = (
    "What is the result of ",
    " Make sure to state your answer at the end of the response.",
    "Agent ",
    "'s solution: ",
    "Your solution: ",
    "Solution:",
    "Answer: ",
    ", ",
    ". ",
)
CHARACTERS = "0123456789+-*=()?.,;:'! \nABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def make_tokenizer() -> Any:
    """Return the tokenizer, a fast one of transformers: every text is split in one way, and decodes to itself."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {token: place for place, token in enumerate((PAD, BOS, EOS, UNKNOWN, *PHRASES, *CHARACTERS))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    # Alternatives are tried in order, so a phrase comes before the characters that it is made of.
    longest_first = sorted(PHRASES, key=len, reverse=True)
    pattern = "|".join([*map(_escaped, longest_first), r"[\s\S]"])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, vocabulary[BOS])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        unk_token=UNKNOWN,
        clean_up_tokenization_spaces=False,
    )


def _escaped(phrase: str) -> str:
    return phrase.replace(".", r"\.").replace("?", r"\?")
