"""UTF-8 bytes as tokens, and an end token: the tokenizer of backends without weights."""

END = 256


class ByteTokenizer:
    """UTF-8 bytes as tokens, in the calls that prompts need."""

    chat_template = None

    def get_vocab(self) -> dict[str, int]:
        """Return one token a byte, and the end token."""
        return {**{f"<{byte:02x}>": byte for byte in range(256)}, "<end>": END}

    def __call__(self, text: str, add_special_tokens: bool = True) -> "ByteTokenizer.Ids":
        """Return the bytes of a text."""
        return self.Ids(list(text.encode()))

    def decode(self, ids: list[int]) -> str:
        """Return the text of tokens; the end token is silent."""
        return bytes(i for i in ids if i < END).decode(errors="replace")

    def bytes_of(self, token: str) -> bytes | None:
        """Return the byte of a token; the end token has none."""
        return None if len(token) != len("<00>") else bytes([int(token[1:3], 16)])

    class Ids:
        """What a tokenizer's call returns."""

        def __init__(self, input_ids: list[int]) -> None:
            self.input_ids = input_ids
