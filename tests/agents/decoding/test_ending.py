"""What of a message is shown while it may still be cut."""

import pytest

from agents.byte_tokens import ByteTokenizer
from agents.decoding.ending import kept_before_stop, text_to_show


class Pairs(ByteTokenizer):
    """Two characters a token, so that stops begin inside of them."""

    def decode(self, ids):
        return "".join(PAIRS[id] for id in ids)


PAIRS = ["It", " is", " 14", ".\n`", "``", "` b", " c"]


@pytest.mark.parametrize("ids", [[0, 1, 2, 3, 4], [0, 1, 2, 3, 5, 6], [3, 3, 3, 4], [4, 0], [0, 3]])
def test_what_was_shown_is_never_taken_away(ids):
    """Whatever is said at last begins with what was shown on the way."""
    tokenizer, shown = Pairs(), ""
    for end in range(1, len(ids) + 1):
        so_far = ids[:end]
        if (kept := kept_before_stop(so_far, ["```"], tokenizer)) is not None:
            assert tokenizer.decode(so_far[:kept]).startswith(shown)
            return
        more = text_to_show(so_far, ["```"], tokenizer)
        assert more.startswith(shown)
        shown = more
    assert tokenizer.decode(ids).startswith(shown)


def test_only_what_may_begin_a_stop_waits():
    tokenizer = Pairs()
    assert text_to_show([0, 1, 2], ["```"], tokenizer) == "It is 14"
    assert text_to_show([0, 1, 2, 3], ["```"], tokenizer) == "It is 14"
    assert text_to_show([0, 1, 2, 3, 5], ["```"], tokenizer) == "It is 14.\n`` b"
    assert text_to_show([0, 1, 2, 3], [], tokenizer) == "It is 14.\n`"
    assert text_to_show(list("né".encode())[:-1], [], ByteTokenizer()) == ""
