"""A small vocabulary of one's own: byte-pair encoding of lower-case words, in transformers' tokenizer layout."""

from collections.abc import Iterable
from typing import Any

PAD, UNKNOWN, START, END, MASK = "<pad>", "<unk>", "<s>", "</s>", "<mask>"


def trained_tokenizer(texts: Iterable[str], size: int, *, starts: bool = False) -> Any:
    """Return a PreTrainedTokenizerFast of at most `size` tokens; every text ends with `</s>`, and starts with `<s>` if asked.

    The same texts in the same order give the same vocabulary.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = [PAD, UNKNOWN, START, END, MASK]
    made = Tokenizer(models.BPE(unk_token=UNKNOWN))
    made.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(vocab_size=size, min_frequency=2, special_tokens=special, show_progress=False)
    made.train_from_iterator(texts, trainer)
    around = f"{START} $A {END}" if starts else f"$A {END}"
    made.post_processor = processors.TemplateProcessing(
        single=around, special_tokens=[(name, made.token_to_id(name)) for name in (START, END)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token=PAD, unk_token=UNKNOWN, bos_token=START, eos_token=END, mask_token=MASK
    )
