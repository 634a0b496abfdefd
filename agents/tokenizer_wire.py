"""A tokenizer as JSON and back, for an agent whose model is on another machine."""

from typing import Any

from agents.byte_tokens import ByteTokenizer
from agents.errors import ConfigError
from agents.fingerprint import tokenizer_hash

SPECIAL = ("bos_token", "eos_token", "pad_token", "unk_token")
BYTES = "bytes"


def tokenizer_body(tokenizer: Any) -> dict[str, Any] | None:
    """Return a tokenizer as JSON values; None of one that has no form for that."""
    if isinstance(tokenizer, ByteTokenizer):
        return {"kind": BYTES}
    core = getattr(tokenizer, "backend_tokenizer", None)
    if core is None:
        return None
    names = {name: str(value) for name in SPECIAL if (value := getattr(tokenizer, name, None)) is not None}
    template = tokenizer.chat_template
    if template is not None and not isinstance(template, str):
        return None
    return {"kind": "tokenizers", "json": core.to_str(), "special": names, "chat_template": template}


def read_tokenizer_body(fields: dict[str, Any], expected: str) -> Any:
    """Return the tokenizer of JSON values.

    Args:
        fields: from another machine.
        expected: hash of its vocabulary, as the model's fingerprint has it.

    Raises:
        ConfigError: it is none, or another.
    """
    if fields.get("kind") == BYTES:
        made: Any = ByteTokenizer()
    else:
        from tokenizers import Tokenizer
        from transformers import PreTrainedTokenizerFast

        try:
            special = {name: str(fields["special"][name]) for name in SPECIAL if name in fields["special"]}
            made = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(fields["json"]), **special)
            template = fields["chat_template"]
            if template is not None and not isinstance(template, str):
                raise TypeError("a template is a text")
        except Exception as error:  # of a library in another language, for whatever a server sends
            raise ConfigError(f"the server's tokenizer cannot be read: {str(error)[:200]}") from error
        made.chat_template = template
    if tokenizer_hash(made) != expected:
        raise ConfigError("the server's tokenizer is not the one of its model's fingerprint")
    return made
