"""What a reasoning model thinks aloud, apart from what it answers. Pure, linear in the text."""

import re

_NAMES = r"(?:seed:)?(?:think(?:ing)?|thoughts?|reason(?:ing)?|reflection|scratch_?pad|inner_monologue)"
# A tag between backticks is spoken of, not used.
_TAG = re.compile(
    rf"(?<!`)(?:<\s?(?P<close>/?)\s?{_NAMES}(?:\s[^<>\n]{{0,100}})?>"
    r"|\[(?P<close2>/?)THINK\]"
    r"|[◁](?P<close3>/?)think[▷]"
    r"|<\|(?:begin_of_thought|START_THINKING|inner_prefix)\|>"
    r"|<\|channel>\s?thought\b"
    r"|(?P<close4><\|(?:end_of_thought|END_THINKING|inner_suffix)\|>|<channel\|>)"
    r"|<\|channel\|>\s?(?:analysis|commentary)\b[^<\n]{0,100}<\|message\|>"
    r"|(?P<close5><\|channel\|>\s?final\b[^<\n]{0,100}<\|message\|>))",
    re.IGNORECASE,
)
# The same channels where a tokenizer has left its special tokens out.
_CHANNELS = re.compile(r"^\s*analysis.*assistantfinal", re.DOTALL)


def spoken(response: str) -> str:
    """Return a response without what stands in think tags.

    A tag that is never closed thinks to the end; one that was opened in the prompt, and so is only closed here, from the
    beginning.
    """
    if channels := _CHANNELS.match(response):
        return response[channels.end() :]
    pieces: list[str] = []
    begin, thinks, tags, end = 0, False, 0, len(response.rstrip())
    for tag in _TAG.finditer(response):
        tags += 1
        if not any(tag.groups()):
            if not thinks:
                pieces.append(response[begin : tag.start()])
            thinks = True
            continue
        if not thinks and (tags == 1 or tag.end() < end):
            # It was opened before the response began.
            pieces = []
        elif not thinks:
            pieces.append(response[begin : tag.start()])
        begin, thinks = tag.end(), False
    return "".join(pieces) + ("" if thinks else response[begin:])
