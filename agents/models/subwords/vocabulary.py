"""The vocabulary of a size under which a text is likeliest, as far as a search by merges and exchanges finds it.

It begins as BPE does, with words, their counts, and single symbols. Sub-words are added one by one, each the merge that raises
the log-likelihood L most. Then some are exchanged: more are added, all words are cut anew, and as many go, those without which L
falls least, as long as L rises. The best vocabulary there is cannot be searched for in general; small ones are compared with it
in tests.

Li (2024, arXiv:2410.18441) announces an optimal encoding with BPE's initial setting and the aim of WordPiece, the likelihood of
the training text; of the algorithm itself nothing more could be read, and this one is our reading.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from agents.errors import ConfigError
from agents.models.subwords.likelihood import counted, cut, log_likelihood, log_probabilities, xlogx
from agents.models.subwords.merges import Merging

# Times that words are cut anew by the probabilities of the last cuts; it comes to rest sooner.
MOST_CUTS = 8
# Share of the sub-words that are exchanged at first; halved where that does not help.
EXCHANGED = 0.2
# Sub-words that are exchanged at first, however small the vocabulary.
FEWEST = 4

Cuts = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Vocabulary:
    """Sub-words, and the training text cut into them.

    Attributes:
        tokens: the symbols in their order, then sub-words by falling count.
        counts: token → how often it stands in the text.
        cuts: word → its tokens.
    """

    tokens: tuple[str, ...]
    counts: Counter[str]
    cuts: Cuts

    @property
    def log_likelihood(self) -> float:
        """Of the training text, in nats."""
        return log_likelihood(self.counts)

    @property
    def log_p(self) -> dict[str, float]:
        """Token → log probability."""
        return log_probabilities(self.counts, self.tokens)


def learned(
    words: Mapping[str, int],
    symbols: Iterable[str],
    size: int,
    *,
    exchanges: int = 12,
    say: Callable[[str], None] = lambda _: None,
) -> Vocabulary:
    """Return the likeliest vocabulary of a size that the search finds.

    Args:
        words: word → how often it stands in the text, at least once.
        symbols: the characters that stay tokens, whether they occur or not; each character of a word is one.
        size: tokens, the symbols among them.
        exchanges: rounds of exchanging sub-words at most; with 0 they are merged and words cut anew, no more.
        say: told of each round.

    Raises:
        ConfigError: no words, a character that is no symbol, or a size below the symbols or above the sub-words there are.
    """
    alphabet = tuple(dict.fromkeys(symbols))
    _check(words, alphabet, size)
    best = _settled(*_grown({word: list(word) for word in words}, words, alphabet, size), words, alphabet)
    say(f"{size} tokens: {best.log_likelihood:.0f} nats by merges")
    many = max(FEWEST, int(EXCHANGED * (size - len(alphabet))))
    for _ in range(exchanges):
        other = _exchanged(best, words, alphabet, size, many)
        if other.log_likelihood > best.log_likelihood:
            best = other
            say(f"{many} sub-words exchanged: {best.log_likelihood:.0f} nats")
        elif many == 1:
            break
        else:
            many = max(1, many // 2)
    return best


def fitted(words: Mapping[str, int], tokens: Iterable[str], symbols: Iterable[str]) -> Vocabulary:
    """Return a given vocabulary with the likeliest cuts of words: probabilities and cuts by turns, until they come to rest.

    Args:
        words: word → count.
        tokens: the vocabulary; symbols that are not in it are added.
        symbols: the characters, each of a word among them.

    Raises:
        ConfigError: no words, or a character that is no symbol.
    """
    alphabet = tuple(dict.fromkeys(symbols))
    _check(words, alphabet, len(alphabet))
    whole = {*alphabet, *tokens}
    # All alike at first: the fewest tokens.
    log_p = dict.fromkeys(whole, -1.0)
    longest = max(map(len, whole))
    return _settled({word: cut(word, log_p, longest) for word in words}, whole, words, alphabet)


def _check(words: Mapping[str, int], alphabet: Sequence[str], size: int) -> None:
    if not words or not all(words) or min(words.values()) < 1:
        raise ConfigError(
            "a vocabulary is learned from words, each of at least a character and there at least once; give a text"
        )
    if strange := sorted({character for word in words for character in word} - set(alphabet)):
        raise ConfigError(f"the character {strange[0]!r} stands in the text and is no symbol of the vocabulary")
    if size < len(alphabet):
        raise ConfigError(f"a vocabulary of {len(alphabet)} symbols has at least as many tokens; got {size}")


def _grown(cuts: Cuts, words: Mapping[str, int], tokens: Iterable[str], size: int) -> tuple[Cuts, set[str]]:
    """Return words cut into the tokens of a vocabulary that merges made so large, and that vocabulary."""
    merging, whole = Merging(cuts, words), set(tokens)
    begun = len(whole)
    while len(whole) < size:
        found = merging.best()
        if found is None:
            raise ConfigError(
                f"{size - begun} more sub-words were asked for, and the text has {len(whole) - begun}, with which every word is "
                "a token; give more text, or a lower size"
            )
        merging.merge(found[0])
        whole.add("".join(found[0]))
    return merging.cuts, whole


def _settled(cuts: Cuts, whole: set[str], words: Mapping[str, int], alphabet: Sequence[str]) -> Vocabulary:
    """Return a vocabulary with the best cuts that are found: words are cut anew by the probabilities of the last cuts."""
    longest = max(map(len, whole))
    counts = counted(cuts, words)
    for _ in range(MOST_CUTS):
        log_p = log_probabilities(counts, whole)
        anew = {word: cut(word, log_p, longest) for word in words}
        found = counted(anew, words)
        if log_likelihood(found) <= log_likelihood(counts):
            break
        cuts, counts = anew, found
    subwords = sorted(whole - set(alphabet), key=lambda token: (-counts[token], token))
    return Vocabulary((*alphabet, *subwords), counts, cuts)


def _exchanged(
    vocabulary: Vocabulary, words: Mapping[str, int], alphabet: Sequence[str], size: int, many: int
) -> Vocabulary:
    """Return a vocabulary of the same size after so many sub-words more were merged and those that are missed least have gone."""
    try:
        larger = _grown(vocabulary.cuts, words, vocabulary.tokens, size + many)
    except ConfigError:
        # Every word is a token: there is nothing to exchange for.
        return vocabulary
    return _shrunk(_settled(*larger, words, alphabet), words, alphabet, size)


def _shrunk(vocabulary: Vocabulary, words: Mapping[str, int], alphabet: Sequence[str], size: int) -> Vocabulary:
    """Return a vocabulary without those sub-words without which L falls least, half of them at a time."""
    while (over := len(vocabulary.tokens) - size) > 0:
        log_p = vocabulary.log_p
        losses = {token: loss_without(token, vocabulary.counts, log_p) for token in vocabulary.tokens[len(alphabet) :]}
        gone = sorted(losses, key=lambda token: (losses[token], token))[: (over + 1) // 2]
        whole = set(vocabulary.tokens).difference(gone)
        left = {token: log_p[token] for token in whole}
        longest = max(map(len, whole))
        cuts = {
            word: tokens if whole.issuperset(tokens) else cut(word, left, longest)
            for word, tokens in vocabulary.cuts.items()
        }
        vocabulary = _settled(cuts, whole, words, alphabet)
    return vocabulary


def loss_without(token: str, counts: Mapping[str, int], log_p: Mapping[str, float]) -> float:
    """Return by how much L falls where a sub-word is cut into the likeliest others wherever it stands, and no word is cut anew.

    Args:
        token: of at least two characters.
        counts: of all tokens.
        log_p: log probability of each; the sub-word's own is not looked at.
    """
    times = counts.get(token, 0)
    if not times:
        return 0.0
    pieces = Counter(cut(token, {name: value for name, value in log_p.items() if name != token}, len(token) - 1))
    total = sum(counts.values())
    changed = sum(
        xlogx(counts.get(piece, 0) + many * times) - xlogx(counts.get(piece, 0)) for piece, many in pieces.items()
    )
    more = total + (pieces.total() - 1) * times
    return xlogx(times) - changed + xlogx(more) - xlogx(total)
