"""Text that can be written: models and servers also say halves of characters, which no file holds."""


def valid_text(text: str) -> str:
    """Return a text with each lone surrogate as U+FFFD; two that are a character's halves become that character."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def without_half(text: str) -> str:
    """Return the beginning of a text without the first half of a character at its end, whose second half may still come."""
    return text[:-1] if "\ud800" <= text[-1:] <= "\udbff" else text
