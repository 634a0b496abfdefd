"""Sub-words by likelihood: measure and search against their definitions, and against all vocabularies; exact round trips."""

import itertools
import json
import math
import random
from collections import Counter

import pytest
import torch
from transformers import AutoTokenizer

from agents.errors import ConfigError, ModelError
from agents.models.subwords import training
from agents.models.subwords.likelihood import counted, cut, log_likelihood, log_probabilities
from agents.models.subwords.measures import read
from agents.models.subwords.merges import Merging, merged, pairs_of
from agents.models.subwords.tokenizer import (
    END,
    KINDS,
    as_tokenizer,
    count_words,
    swe_tokenizer,
    symbols,
    trained_baseline,
)
from agents.models.subwords.vocabulary import fitted, learned, loss_without
from agents.token_bytes import token_bytes
from agents.vocabulary_map import VocabularyMap

TEXT = [
    "the cat and the hat sat on the mat, and the rat ran at the cat that sat there\n",
    "a heather weather, whether the feather or the father gathered there together\n",
    "over and over the rover drove the lover to the clover in the dover cover\n",
] * 3
STRANGE = [
    "",
    " ",
    "naïve façade ☃ 漢字 \U0001f600",
    "\x00\x01\x7f\r\n\t  x",
    "<|start|>�",
    "z" * 500,
    "e\u0301  \u2028 ",
]


def spellings(word, tokens):
    """Yield every way to spell a word."""
    if not word:
        yield []
    for end in range(1, len(word) + 1):
        if word[:end] in tokens:
            for rest in spellings(word[end:], tokens):
                yield [word[:end], *rest]


def best_of(words, tokens):
    """Return the highest log-likelihood of words over all ways to cut each of them."""
    ways = [list(spellings(word, tokens)) for word in words]
    return max(
        log_likelihood(counted(dict(zip(words, chosen, strict=True)), words)) for chosen in itertools.product(*ways)
    )


def random_words(seed, *, letters="abc", many=4, longest=5):
    rng = random.Random(seed)
    drawn = {"".join(rng.choices(letters, k=rng.randint(2, longest))) for _ in range(many)}
    return {word: rng.randint(1, 9) for word in sorted(drawn)}


def test_the_log_likelihood_is_that_of_tokens_drawn_by_their_own_frequency():
    counts = Counter({"a": 3, "b": 1, "ab": 4})
    want = sum(torch.tensor(count / 8, dtype=torch.float64).log() * count for count in counts.values())
    assert log_likelihood(counts) == pytest.approx(float(want), rel=1e-14)
    assert log_likelihood({}) == 0.0
    log_p = log_probabilities(counts, ["a", "b", "ab", "c"])
    assert sum(map(math.exp, log_p.values())) == pytest.approx(1.0, rel=1e-12)
    assert log_p["c"] == pytest.approx(math.log(0.5 / 8.5))


@pytest.mark.parametrize("seed", range(4))
def test_a_word_is_cut_into_the_likeliest_tokens_of_all_ways(seed):
    rng = random.Random(seed)
    word = "".join(rng.choices("ab", k=8))
    log_p = {"a": -1.5, "b": -2.0} | {
        "".join(rng.choices("ab", k=rng.randint(2, 4))): -rng.uniform(1, 5) for _ in range(6)
    }
    found = cut(word, log_p, 4)
    assert "".join(found) == word
    want = max(sum(log_p[token] for token in way) for way in spellings(word, log_p))
    assert sum(log_p[token] for token in found) == pytest.approx(want, rel=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_what_a_merge_gains_is_the_difference_that_it_makes_and_the_best_is_the_best(seed):
    words = random_words(seed, letters="ab", many=6, longest=7)
    merging = Merging({word: list(word) for word in words}, words)
    for _ in range(4):
        before = log_likelihood(merging.counts)
        tried = {
            pair: log_likelihood(counted({word: merged(tokens, pair) for word, tokens in merging.cuts.items()}, words))
            - before
            for tokens in merging.cuts.values()
            for pair in pairs_of(tokens)
        }
        if not tried:
            return
        pair, gain = merging.best()
        assert gain == pytest.approx(max(tried.values()), abs=1e-9)
        assert tried[pair] == pytest.approx(gain, abs=1e-9)
        merging.merge(pair)
        assert log_likelihood(merging.counts) == pytest.approx(before + gain, abs=1e-9)
        assert +merging.counts == counted(merging.cuts, words)


def test_neighbours_that_are_alike_are_counted_as_they_are_merged():
    assert pairs_of("aaab") == {("a", "a"): 1, ("a", "b"): 1}
    assert pairs_of("aaaa") == {("a", "a"): 2}
    assert merged("aaab", ("a", "a")) == ["aa", "a", "b"]


def test_what_is_lost_without_a_subword_is_the_difference_that_it_makes():
    words = {"abab": 5, "aba": 2, "b": 1, "ba": 3}
    found = fitted(words, ["ab", "aba"], "ab")
    for token in ("ab", "aba"):
        without = {name: value for name, value in found.log_p.items() if name != token}
        pieces = cut(token, without, 3)
        cuts = {
            word: [piece for name in cuts for piece in (pieces if name == token else [name])]
            for word, cuts in found.cuts.items()
        }
        want = found.log_likelihood - log_likelihood(counted(cuts, words))
        assert loss_without(token, found.counts, found.log_p) == pytest.approx(want, abs=1e-9)
    assert loss_without("xy", {"x": 1, "y": 1}, {"x": -1.0, "y": -1.0}) == 0.0


def test_the_search_comes_near_the_best_of_all_vocabularies_where_they_can_be_counted():
    reached = []
    for seed in range(12):
        words = random_words(seed)
        candidates = {word[i:j] for word in words for i in range(len(word)) for j in range(i + 2, len(word) + 1)}
        every = [best_of(words, {*"abc", *chosen}) for chosen in itertools.combinations(sorted(candidates), 2)]
        found = learned(words, "abc", 5)
        assert len(found.tokens) == 5
        assert found.log_likelihood <= max(every) + 1e-9
        # 0 is what two sub-words at random come to, 1 the best.
        mean = sum(every) / len(every)
        reached.append((found.log_likelihood - mean) / (max(every) - mean))
    assert sum(share > 1 - 1e-9 for share in reached) >= 10
    assert min(reached) > 0.7


def test_exchanges_never_lose_and_find_what_merges_alone_do_not():
    words = count_words(TEXT)
    merges, exchanged = (learned(words, symbols(), 290, exchanges=rounds) for rounds in (0, 8))
    assert exchanged.log_likelihood > merges.log_likelihood
    assert len(exchanged.tokens) == len(set(exchanged.tokens)) == 290
    assert exchanged == learned(words, symbols(), 290, exchanges=8)
    assert exchanged.counts == counted(exchanged.cuts, words)


@pytest.fixture(scope="module")
def tokenizers():
    made = {kind: trained_baseline(kind, TEXT, 270) for kind in KINDS}
    return {"swe": swe_tokenizer(TEXT, 270), **made}


def test_the_text_is_likelier_than_under_the_other_three(tokenizers):
    bits = {kind: read(tokenizer, TEXT).bits for kind, tokenizer in tokenizers.items()}
    assert bits["swe"] < min(bits[kind] for kind in KINDS)


def test_every_text_comes_back_as_it_was(tokenizers, tmp_path):
    rng = random.Random(0)
    noise = [
        "".join(chr(rng.choice([rng.randrange(0xD800), rng.randrange(0xE000, 0x110000)])) for _ in range(30))
        for _ in range(10)
    ]
    for kind, tokenizer in tokenizers.items():
        assert len(tokenizer) == 270
        tokenizer.save_pretrained(tmp_path / kind)
        kept = AutoTokenizer.from_pretrained(tmp_path / kind)
        for text in (*TEXT, *STRANGE, *noise):
            ids = tokenizer(text)["input_ids"]
            assert tokenizer.decode(ids) == text, kind
            assert kept(text)["input_ids"] == ids
    assert json.loads((tmp_path / "swe" / "tokenizer.json").read_text())["model"]["type"] == "Unigram"


def test_bytes_that_the_text_never_had_are_tokens_and_every_token_spells_its_bytes(tokenizers):
    spelled = token_bytes(tokenizers["swe"])
    assert spelled[0] is None
    assert {bytes([byte]) for byte in range(256)} <= set(spelled[1:])
    found = tokenizers["swe"]("\U0001f600")["input_ids"]
    assert b"".join(spelled[place] for place in found) == "\U0001f600".encode()


def test_the_file_cuts_as_the_training_did():
    words = count_words(TEXT)
    vocabulary = learned(words, symbols(), 299)
    ids = as_tokenizer(vocabulary)(TEXT)["input_ids"]
    assert sum(map(len, ids)) == vocabulary.counts.total()
    assert read(as_tokenizer(vocabulary), TEXT).bits * math.log(2) == pytest.approx(
        -vocabulary.log_likelihood / sum(len(text.encode()) for text in TEXT), rel=1e-3
    )


def test_a_message_of_one_vocabulary_is_spelled_in_the_other(tokenizers):
    over = VocabularyMap(tokenizers["bpe"], tokenizers["swe"])
    swe = token_bytes(tokenizers["swe"])
    for place, spelled in enumerate(token_bytes(tokenizers["bpe"])):
        if spelled is not None:
            assert b"".join(swe[piece] for piece in over.pieces(place)) == spelled
    assert 256 / 269 < over.shared < 1


def test_wordpiece_of_the_library_counts_pairs_as_bpe_does(tokenizers):
    """So it is no baseline of likelihood: it reads with its own rule, and has BPE's sub-words."""
    assert set(tokenizers["wordpiece"].get_vocab()) == set(tokenizers["bpe"].get_vocab())


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: swe_tokenizer(TEXT, 256), "at least 257 tokens; got 256"),
        (lambda: swe_tokenizer([], 300), "give a text"),
        (lambda: swe_tokenizer(["ab"], 300), "43 more sub-words were asked for, and the text has 1, "),
        (lambda: learned({"ab": 1}, "a", 5), "'b' stands in the text and is no symbol"),
        (lambda: learned({"ab": 0}, "ab", 5), "there at least once"),
        (lambda: learned({"ab": 1}, "abc", 2), "at least as many tokens; got 2"),
        (lambda: trained_baseline("words", TEXT, 300), "one of bpe, wordpiece, unigram; got 'words'"),
        (lambda: trained_baseline("bpe", ["ab"], 300), "where 300 were asked for"),
    ],
)
def test_what_cannot_be_is_refused(make, sentence):
    with pytest.raises(ConfigError, match=sentence):
        make()


def test_pieces_are_the_text_and_cut_no_word():
    text = "".join(TEXT)
    found = training.pieces(text, 20)
    assert "".join(found) == text
    assert all(piece[0].isspace() for piece in found[1:])
    whole, cut_up = (count_words(each) for each in ([text], found))
    assert whole == cut_up
    one, other = training.divided(found, 3)
    assert len(other) == len(found) // 10
    assert sorted([*one, *other]) == sorted(found)
    with pytest.raises(ModelError, match="has 2 pieces"):
        training.divided(found[:2], 0)


def test_bits_by_a_model_are_those_of_every_token_of_every_text():
    tokenizer = swe_tokenizer(TEXT, 280, exchanges=0)
    recipe = training.Recipe(width=16, layers=1, heads=2, batch=2)
    model = training.build(recipe, len(tokenizer), 0).eval()
    texts = [TEXT[0], "over", TEXT[1]]
    nats = 0.0
    for text in texts:
        ids = torch.tensor([[tokenizer.convert_tokens_to_ids(END), *tokenizer(text)["input_ids"]]])
        shares = model(ids).logits.detach().double().log_softmax(-1)
        nats -= float(shares[0, :-1].gather(1, ids[0, 1:, None]).sum())
    want = nats / math.log(2) / sum(len(text.encode()) for text in texts)
    assert training.bits_by_model(model, tokenizer, texts, recipe) == pytest.approx(want, rel=1e-5)


def test_the_recipe_measures_keeps_and_goes_on(tmp_path, monkeypatch):
    data = tmp_path / "data"
    data.mkdir()
    (data / "input.txt").write_text("".join(TEXT))
    (data / "valid.txt").write_text("".join(TEXT[::-1]))
    tiny = training.Recipe(size=270, exchanges=1, piece=20, width=16, layers=1, heads=2, steps=2, batch=2)
    monkeypatch.setattr(training, "Recipe", lambda: tiny)
    claims = training.claims(tmp_path / "out", seeds=2, data=data)
    assert [claim.text for claim in claims] == list(training.ASKED)
    assert all(math.isfinite(figure) for claim in claims for figure in (*claim.ours, *claim.baseline))
    assert (tmp_path / "out" / "wikipedia-swe-1" / "tokenizer.json").is_file()
    # What is kept is not measured again.
    monkeypatch.setattr(training, "figures", lambda *_: pytest.fail("it was measured again"))
    again = training.claims(tmp_path / "out", seeds=2, data=data)
    assert [claim.ours for claim in again] == [claim.ours for claim in claims]
