"""Reduced messages between tokenizers: what maps too badly is heard whole as text, and then nothing was reduced."""

from types import SimpleNamespace

import pytest
import torch

from agents.byte_tokens import ByteTokenizer
from agents.fingerprint import fingerprint
from agents.message import Cipher, Message
from agents.reduction import reduced, reduction
from agents.vocabulary_map import VocabularyMap
from debate.hearing import Hearing
from debate.topology.edge import Edge

END = 256  # a special token, which spells nothing


class OtherBytes(ByteTokenizer):
    """The same bytes under other numbers: another vocabulary."""

    def get_vocab(self):
        return {**{f"<{byte:02x}>": 255 - byte for byte in range(256)}, "<end>": 256}


def agent(tokenizer):
    table = torch.zeros(257, 4)
    return SimpleNamespace(
        backend=SimpleNamespace(tokenizer=tokenizer, fingerprint=fingerprint("m", table, tokenizer)), takes_vectors=True
    )


ADA, BEN = agent(ByteTokenizer()), agent(OtherBytes())


def message(tokens):
    """Return a message that is sure of each token, the entropy growing along it."""
    count, ids = len(tokens), torch.tensor(tokens)
    sure = torch.ones(count)
    cipher = Cipher(torch.ones(count, 4), ids, torch.arange(float(count)), sure, ids[:, None], sure[:, None])
    return Message("all that was said", ADA.backend.fingerprint, 1.0, tuple(tokens), "expectation", cipher)


def hear(said, rule, least=0.6):
    return Hearing(min_mapped=least).hear(said, Edge(reduce=reduction(rule)), ADA, BEN)


@pytest.mark.parametrize(
    ("tokens", "share"),
    [
        # The whole maps by a third; the half that would be left maps whole.
        ([END, END, END, END, 65, 66], 1 / 3),
        # The whole maps by two thirds; of the half that would be left a third.
        ([65, 66, 67, END, 68, END], 1 / 3),
        # And nothing.
        ([65, 66, 67, 68, END, END], 0.0),
    ],
)
def test_what_maps_too_badly_is_heard_whole_and_nothing_was_reduced(tokens, share):
    rule = "drop(keep=0.3, by=entropy)" if share == 0 or tokens[0] == END else "drop(keep=0.5, by=entropy)"
    heard = hear(message(tokens), rule)
    assert heard.reduced is None
    assert (heard.content.text, heard.content.is_cipher) == ("all that was said", False)
    assert heard.content.token_ids == tuple(tokens)
    assert heard.mapped == pytest.approx(share)


@pytest.mark.parametrize("rule", ["drop(keep=0.5, by=entropy)", "merge(keep=0.5)"])
def test_of_a_mapped_message_the_digest_is_of_what_is_heard(rule):
    said = message([65, 66, 67, 68])
    heard = hear(said, rule)
    assert heard.content.is_cipher
    assert heard.reduced.digest == heard.content.digest
    left = reduced(said, heard.reduced.groups, tokenizer=ADA.backend.tokenizer)
    mapping = VocabularyMap(ADA.backend.tokenizer, BEN.backend.tokenizer)
    assert mapping.apply(left, BEN.backend.fingerprint).message.digest == heard.reduced.digest
    assert (heard.reduced.before, heard.reduced.after) == (4, 2)
