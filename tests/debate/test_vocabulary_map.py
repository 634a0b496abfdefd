"""Beliefs across tokenizers: one-hot is text, mass is counted, and too little of it is heard as text."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from agents.byte_tokens import ByteTokenizer
from agents.errors import MessageMismatch
from agents.fingerprint import fingerprint
from agents.message import Cipher, Message
from agents.rerender import renormalised, rerender, vectors_for, weights_for
from agents.token_bytes import token_bytes
from agents.vocabulary_map import VocabularyMap

CORPUS = ["the answer is 42 because 6*7=42", "what is the result of 3+4*5?", "naïve café, 你好", "an other answer"] * 3


class Fast:
    """A tokenizer as transformers wraps it, in the calls that maps need."""

    def __init__(self, core, special=()):
        self.backend_tokenizer, self.all_special_ids = core, [core.token_to_id(token) for token in special]

    def get_vocab(self):
        return self.backend_tokenizer.get_vocab()

    def encode(self, text):
        return self.backend_tokenizer.encode(text).ids


def byte_level(size):
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=alphabet, special_tokens=["<end>"], show_progress=False
    )
    core.train_from_iterator(CORPUS, trainer)
    return Fast(core, ["<end>"])


def sentence_piece():
    core = Tokenizer(models.Unigram())
    core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    core.decoder = decoders.Metaspace(prepend_scheme="never")
    trainer = trainers.UnigramTrainer(vocab_size=90, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False)
    core.train_from_iterator(CORPUS, trainer)
    return Fast(core, ["<unk>"])


SMALL, LARGE, PIECES, BYTES = byte_level(270), byte_level(330), sentence_piece(), ByteTokenizer()


def spell(tokenizer, ids):
    table = token_bytes(tokenizer)
    return b"".join(table[i] or b"" for i in ids)


def message(tokenizer, beliefs, *, width=8):
    """Return a CIPHER message of beliefs {token: weight}, the heaviest the nearest."""
    table = torch.randn(len(token_bytes(tokenizer)), width, generator=torch.Generator().manual_seed(1))
    kept = max(map(len, beliefs), default=0)
    ranked = [sorted(step.items(), key=lambda item: -item[1]) for step in beliefs]
    ids = torch.tensor([[t for t, _ in s] + [0] * (kept - len(s)) for s in ranked], dtype=torch.int64)
    ids = ids.reshape(len(beliefs), kept)
    weights = torch.tensor([[w for _, w in s] + [0.0] * (kept - len(s)) for s in ranked]).reshape(len(beliefs), kept)
    count = len(beliefs)
    cipher = Cipher(torch.zeros(count, width), ids[:, 0].clone() if count else torch.zeros(0, dtype=torch.int64),
                    torch.zeros(count), torch.ones(count), ids, weights)  # fmt: skip
    model = fingerprint("m", table, tokenizer)
    return Message("text", model, 1.0, tuple(cipher.nearest.tolist()), "expectation", cipher)


def receiver(tokenizer, width=6):
    table = torch.randn(len(token_bytes(tokenizer)), width, generator=torch.Generator().manual_seed(2))
    return table, fingerprint("r", table, tokenizer)


@pytest.mark.parametrize("tokenizer", [SMALL, LARGE], ids=["small", "large"])
def test_token_bytes_spell_the_text(tokenizer):
    for text in CORPUS:
        assert spell(tokenizer, tokenizer.encode(text)) == text.encode()


def test_sentence_pieces_spell_the_text():
    assert spell(PIECES, PIECES.encode("the answer")) == b"the answer"


@pytest.mark.parametrize("sender", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("to", [SMALL, LARGE, BYTES], ids=["small", "large", "bytes"])
@given(text=st.text(alphabet="the answr42 *=?ïé好", min_size=1, max_size=30))
@settings(max_examples=25, deadline=None)
def test_one_hot_is_exactly_the_text(sender, to, text):
    ids = sender.encode(text)
    table, model = receiver(to)
    mapped = VocabularyMap(sender, to).apply(message(sender, [{i: 1.0} for i in ids]), model)
    assert mapped.mass == pytest.approx(1.0)
    assert spell(to, mapped.message.token_ids) == text.encode()
    # What the receiver reads is its own embeddings of those tokens, bit for bit.
    vectors = rerender(mapped.message, table, model)
    assert torch.equal(vectors, table[list(mapped.message.token_ids)])


def test_a_belief_moves_by_its_strings_and_its_mass_is_counted():
    vocabulary, to = SMALL.get_vocab(), LARGE.get_vocab()
    belief = {vocabulary["a"]: 0.5, vocabulary["t"]: 0.3, vocabulary["<end>"]: 0.1}
    mapped = VocabularyMap(SMALL, LARGE).apply(message(SMALL, [belief]), receiver(LARGE)[1])
    assert mapped.mass == pytest.approx(0.8)
    assert mapped.exact == pytest.approx(0.8)
    ids, weights = mapped.message.cipher.top_ids[0].tolist(), mapped.message.cipher.top_probabilities[0].tolist()
    assert ids == [to["a"], to["t"]]
    assert weights == pytest.approx([0.625, 0.375])


def test_a_step_becomes_as_many_as_its_heaviest_token_has_pieces():
    vocabulary = LARGE.get_vocab()
    long = next(token for token in sorted(vocabulary, key=len, reverse=True) if token.isascii() and token.isalpha())
    belief = {vocabulary[long]: 0.7, vocabulary["a"]: 0.2}
    mapped = VocabularyMap(LARGE, BYTES).apply(message(LARGE, [belief]), receiver(BYTES)[1])
    assert bytes(mapped.message.token_ids) == long.encode()
    assert mapped.mass == pytest.approx(0.9)
    assert mapped.exact == pytest.approx(0.2)
    other = {vocabulary["a"]: 0.7, vocabulary[long]: 0.2}
    assert VocabularyMap(LARGE, BYTES).apply(message(LARGE, [other]), receiver(BYTES)[1]).mass == pytest.approx(0.7)


def test_where_the_heaviest_spells_nothing_the_step_is_as_short_as_the_shortest():
    vocabulary = LARGE.get_vocab()
    long = next(token for token in sorted(vocabulary, key=len, reverse=True) if token.isascii() and token.isalpha())
    belief = {vocabulary["<end>"]: 0.5, vocabulary[long]: 0.3, vocabulary["a"]: 0.15}
    mapped = VocabularyMap(LARGE, BYTES).apply(message(LARGE, [belief]), receiver(BYTES)[1])
    assert (mapped.mass, mapped.message.token_ids) == (pytest.approx(0.15), (ord("a"),))


def test_a_string_is_spelled_by_the_longest_pieces_of_the_receiver():
    small, large = SMALL.get_vocab(), LARGE.get_vocab()
    mapping = VocabularyMap(LARGE, SMALL)
    more = [mapping.pieces(large[token]) for token in large if token not in small and token.isascii()]
    assert more
    assert all(len(pieces) > 1 for pieces in more)
    names = {number: token for token, number in small.items()}
    assert max(len(names[piece]) for pieces in more for piece in pieces) > 1


class Words:
    """A tokenizer whose tokens are what they read as."""

    def __init__(self, *words):
        self._words = words

    def get_vocab(self):
        return {word: place for place, word in enumerate(self._words)}

    def bytes_of(self, token):
        return token.encode()


def test_a_token_of_more_than_sixteen_pieces_is_spelled_by_none():
    mapping = VocabularyMap(Words("a" * 16, "a" * 17, "b"), Words("a", "b"))
    assert [mapping.pieces(token) for token in range(4)] == [(0,) * 16, (), (1,), ()]


def test_nothing_to_map_and_nothing_said():
    vocabulary = SMALL.get_vocab()
    only_end = VocabularyMap(SMALL, BYTES).apply(message(SMALL, [{vocabulary["<end>"]: 1.0}]), receiver(BYTES)[1])
    assert only_end.message is None
    assert only_end.mass == 0.0
    silent = VocabularyMap(SMALL, BYTES).apply(message(SMALL, []), receiver(BYTES)[1])
    assert silent.message.num_tokens == 0
    assert (silent.mass, silent.exact, silent.least) == (1.0, 1.0, 1.0)


def test_shared_vocabulary():
    assert VocabularyMap(SMALL, SMALL).shared == 1.0
    assert VocabularyMap(BYTES, SMALL).shared == 1.0
    assert 0.7 < VocabularyMap(LARGE, SMALL).shared < 1.0


class OtherBytes(ByteTokenizer):
    """The same bytes under other numbers: another vocabulary."""

    def get_vocab(self):
        return {**{f"<{byte:02x}>": 255 - byte for byte in range(256)}, "<end>": 256}

    def __call__(self, text, add_special_tokens=True):
        return self.Ids([255 - byte for byte in text.encode()])

    def decode(self, ids):
        return bytes(255 - i for i in ids if i < 256).decode(errors="replace")


@pytest.mark.parametrize(("threshold", "is_vectors"), [(0.2, True), (1.0, False)])
def test_in_a_debate_the_share_is_recorded_and_too_little_is_heard_as_text(threshold, is_vectors, tmp_path):
    import asyncio

    from agents.backends.mock import MockBackend
    from agents.question import Question
    from debate.build import build_debate
    from debate.config.load import validate
    from debate.decision.decision import Decision
    from debate.orchestrator import play
    from debate.run_folder.folder import RunFolder
    from debate.run_folder.reader import read_method
    from debate.run_folder.turn_record import Cost
    from debate.runtime.backends import Backends

    class Other(MockBackend):
        def __init__(self, model, **options):
            super().__init__(model, **options)
            self.tokenizer = OtherBytes()
            self._fingerprint = fingerprint(model, self.table.weight, self.tokenizer)

    raw = {
        "backend": "mock", "model": "mock", "rounds": 2, "max_tokens": 32, "min_mapped": threshold, "top_beliefs": 3,
        "agents": {"ada": {}, "ben": {"model": "other"}},
    }  # fmt: skip
    question = Question("q", "What is the result of 1+2*3+4-5*1?")

    async def run():
        config = validate(raw, source="test")
        backends = Backends(config)
        backends._started["mock", "other", '{"dtype": "bfloat16"}'] = Other("other")
        debate = build_debate(config, backends)
        transcript = await play(debate, question)
        said = {turn.key: turn for turn in transcript.turns}
        second = [turn for turn in transcript.turns if turn.key.round == 2]
        heard = [debate.heard(debate.protocol.inbox(t.key), debate.agents[t.key.agent], said) for t in second]
        return transcript, [message.content for (message,) in heard]

    transcript, heard = asyncio.run(run())
    masses = [mass for turn in transcript.turns for _, mass in turn.mapped]
    assert len(masses) == 2
    assert all(0.5 < mass < 1.0 for mass in masses)
    assert [message.is_cipher for message in heard] == [is_vectors] * 2
    # The share survives on disk.
    with RunFolder(tmp_path / "run", validate(raw, source="test")) as folder:
        record = folder.method("cipher")
        record.begin(question)
        for turn in transcript.turns:
            record.append_turn(question, turn, Cost(0.0))
        record.append_decision(question, Decision(None, "", {}), {})
    (record,) = read_method(tmp_path / "run" / "cipher")
    assert record.transcript == transcript


def test_a_token_beyond_the_senders_vocabulary_spells_nothing():
    mapped = VocabularyMap(SMALL, LARGE)
    assert [mapped.pieces(token) for token in (len(SMALL.get_vocab()), len(SMALL.get_vocab()) + 5)] == [(), ()]


def test_vectors_are_rendered_for_no_receiver_of_another_tokenizer():
    said = message(SMALL, [{65: 1.0}])
    for rendered in (vectors_for, weights_for, renormalised):
        with pytest.raises(MessageMismatch, match="the tokenizers differ"):
            rendered(said, receiver(LARGE)[1])


def test_shares_of_a_message_are_means_over_its_steps_and_the_least_is_one_step_s():
    mapping = VocabularyMap(LARGE, SMALL)
    names = token_bytes(LARGE)
    single = next(t for t in range(len(names)) if names[t] and len(mapping.pieces(t)) == 1)
    double = next(t for t in range(len(names)) if names[t] and len(mapping.pieces(t)) == 2)
    _, to = receiver(SMALL)
    found = mapping.apply(message(LARGE, [{single: 1.0}, {double: 1.0}, {double: 0.5, single: 0.25}]), to)
    # All of the first step is single tokens, none of the second, a quarter of the third, which keeps three quarters in all.
    assert found.exact == pytest.approx((1 + 0 + 0.25) / 3)
    assert found.mass == pytest.approx((1 + 1 + 0.75) / 3)
    assert found.least == pytest.approx(0.75)


def test_a_message_of_no_steps_is_rendered_as_none_on_any_table():
    said = message(LARGE, [])
    table, to = receiver(LARGE, width=6)
    assert rerender(said, table, to).shape == (0, 6)
    assert tuple(weights_for(said, to).shape) == (0, 0)
    mapped = VocabularyMap(LARGE, SMALL).apply(said, receiver(SMALL)[1])
    assert tuple(mapped.message.cipher.top_ids.shape) == (0, 0)
    assert (mapped.mass, mapped.exact, mapped.least) == (1.0, 1.0, 1.0)
