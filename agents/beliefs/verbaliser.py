"""Belief ⇄ message: labels become tokens, and a belief over labels a belief over tokens, position by position.

A CIPHER vector is Σ_v p(v) E[v], v over tokens (Pham et al., 2024, section 3). Here p is a belief over labels whose
tokens are mixed by it, with one-hot words around them. The message holds no vectors of its own: receivers render its
beliefs on their own table, as between models that share a tokenizer, so it goes to any of them.

Labels of several tokens are mixed up to the length of the heaviest one, so that a one-hot belief is exactly its label's
text; a label that is shorter stands there with what follows it, the template's next token or a space. What is mixed are
marginals, from which the belief is read back by least squares: exactly, unless labels are alike up to that length.

A sequence of labels is said label after label, a space before each but the first, every one by the belief of its own position.

T positions, K labels.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch

from agents.beliefs.belief import Belief
from agents.beliefs.sequence import BeliefSequence, Believed
from agents.control_tokens import control_tokens
from agents.errors import ConfigError
from agents.fingerprint import ModelFingerprint
from agents.message import Cipher, Message

SLOT = "{label}"
TEMPLATE = "Answer: {label}"
NO_ANSWER = "No answer."
ENCODER = "expectation"
SOLVER_ROUNDING = 1e-9
# How a text says a belief: the best label, all shares in percent with it, or its grounds in place of both.
Words = Literal["label", "shares", "grounds"]


@dataclass(frozen=True)
class Verbaliser:
    """Says a belief, and reads what others said as one.

    Attributes:
        tokenizer: tokenizer of the debate's language model, or the mock's if there is none.
        receiver: that model.
        template: the words around a label.
    """

    tokenizer: Any
    receiver: ModelFingerprint
    template: str = TEMPLATE

    def __post_init__(self) -> None:
        if self.template.count(SLOT) != 1:
            raise ConfigError(f"a template of beliefs has {SLOT} once; got {self.template!r}")

    def say(self, belief: Believed, *, sender: str, temperature: float, encoder: str | None, words: Words) -> Message:
        """Return a belief as a CIPHER message where its agent has an encoder, else in words."""
        if encoder is not None:
            return self.cipher(belief, sender=sender, temperature=temperature)
        if words == "grounds":
            grounds = belief.grounds or NO_ANSWER
            return Message(grounds, self._model(sender), temperature, tuple(self._ids(grounds)))
        return self.text(belief, sender=sender, temperature=temperature, with_shares=words == "shares")

    def cipher(self, belief: Believed, *, sender: str, temperature: float = 1.0) -> Message:
        """Return a belief as a CIPHER message whose reading is the best label in the template."""
        said = belief.at(temperature)
        best = said.best
        if best is None:
            steps: list[dict[int, float]] = [{token: 1.0} for token in self._ids(NO_ANSWER)]
            reading = self._ids(NO_ANSWER)
        else:
            before, after = self._around()
            steps, reading = [{token: 1.0} for token in before], [*before]
            for place, position in enumerate(said.positions):
                tokens = [self._label_ids(label, first=place == 0) for label in position.labels]
                heaviest = tokens[position.labels.index(position.best)] if position.best else []
                is_last = place == len(said.positions) - 1
                steps += _mix(self._columns(tokens, len(heaviest), ends=is_last), position.probabilities)
                reading += heaviest
            steps += [{token: 1.0} for token in after]
            reading += after
        return Message(
            text=NO_ANSWER if best is None else self.template.replace(SLOT, best),
            model=self._model(sender),
            temperature=temperature,
            token_ids=tuple(reading),
            encoder=ENCODER,
            cipher=_beliefs_only(steps, reading),
        )

    def text(self, belief: Believed, *, sender: str, temperature: float = 1.0, with_shares: bool = False) -> Message:
        """Return a belief in words: the best label in the template, with all probabilities in percent before it or not."""
        said = belief.at(temperature)
        if said.best is None:
            words = NO_ANSWER
        else:
            words = self.template.replace(SLOT, said.best)
            if with_shares:
                words = f"Belief: {'; '.join(map(_shares, said.positions))}. {words}"
        return Message(words, self._model(sender), temperature, tuple(self._ids(words)))

    def read(self, message: Message, labels: Sequence[str], *, trust: float = 0.9) -> Belief:
        """Return what a message believes about labels; it abstains where the message has none of them.

        From vectors: where a label is spelled by the nearest tokens, the last time, the belief over labels that mixes best
        to what was kept; labels that begin with the one spelled count as it. From words: the stated percentages, else the
        label after the last `Answer:`, believed with probability `trust`.

        Args:
            message: of this receiver's tokenizer, where it has vectors.
            labels: labels to look for.
            trust: how probable a label that is only said is taken to be; the rest is shared by the others.
        """
        if message.cipher is not None and (found := self._read_cipher(message.cipher, labels)) is not None:
            return found
        return read_words(message.text, labels, trust=trust)

    def read_sequence(self, message: Message, labels: Sequence[str], *, trust: float = 0.9) -> BeliefSequence:
        """Return what a message believes about a sequence of labels; it abstains where the message has none of them.

        From vectors: behind the template's words, if there, each label that the nearest tokens spell is a position;
        the belief there is read as of one label. From words: the stated percentages of every position, else the labels after
        the last `Answer:`, each believed with probability `trust`.
        """
        if message.cipher is not None and (positions := self._read_positions(message.cipher, labels)):
            return BeliefSequence(tuple(labels), tuple(positions))
        return read_sequence_words(message.text, labels, trust=trust)

    def _read_positions(self, cipher: Cipher, labels: Sequence[str]) -> list[Belief]:
        nearest, (before, _) = cipher.nearest.tolist(), self._around()
        # At the beginning of a line a label is another token than after a space.
        spellings = [[self._spelling(label, spaced=spaced) for label in labels] for spaced in (True, False)]
        found: list[Belief] = []
        at = _behind(nearest, before)
        while at < len(nearest):
            here = [
                (len(ids), label, spelled)
                for spelled in spellings
                for label, ids in enumerate(spelled)
                if ids and nearest[at : at + len(ids)] == ids
            ]
            if not here:
                at += 1
                continue
            length, label, spelled = max(here, key=lambda each: each[0])
            # What follows a label that has ended is the template's rest behind the last of them, else the space before the next.
            is_last = not any(nearest[at + length : at + length + len(ids)] == ids for ids in spellings[0] if ids)
            weights = _unmix(cipher, at, self._columns(spelled, length, ends=is_last), label)
            if sum(weights) > 0:
                found.append(Belief.of(labels, weights))
            at += length
        return found

    def _read_cipher(self, cipher: Cipher, labels: Sequence[str]) -> Belief | None:
        # A label at the beginning of a line is another token than after a space.
        for spelled in ([self._label_ids(label) for label in labels], [self._ids(label) for label in labels]):
            found = _spelled(cipher.nearest.tolist(), spelled)
            if found is not None:
                start, label = found
                columns = self._columns(spelled, len(spelled[label]))
                weights = _unmix(cipher, start, columns, label)
                if sum(weights) > 0:
                    return Belief.of(labels, weights)
        return None

    def _columns(self, tokens: Sequence[Sequence[int]], length: int, *, ends: bool = True) -> list[list[int]]:
        """Return each label's token at each of so many positions; what follows a label stands where it has ended.

        Args:
            tokens: of each label.
            length: how many positions.
            ends: whether the template goes on behind it, or another label.
        """
        _, after = self._around()
        filler = ((after if ends else []) or self._ids(" "))[0]
        return [[*ids[:length], *[filler] * (length - len(ids))] for ids in tokens]

    def _around(self) -> tuple[list[int], list[int]]:
        before, _, after = self.template.partition(SLOT)
        return self._ids(before.removesuffix(" ")), self._ids(after)

    def _label_ids(self, label: str, *, first: bool = True) -> list[int]:
        return self._spelling(label, spaced=not first or self.template.partition(SLOT)[0].endswith(" "))

    def _spelling(self, label: str, *, spaced: bool) -> list[int]:
        # Of thousands of labels, the same at every turn.
        if (label, spaced) not in self._known:
            self._known[label, spaced] = self._ids(f" {label}" if spaced else label)
        return self._known[label, spaced]

    @cached_property
    def _known(self) -> dict[tuple[str, bool], list[int]]:
        return {}

    def _ids(self, text: str) -> list[int]:
        return [int(i) for i in control_tokens(self.tokenizer).ids_of(text, self.tokenizer)]

    def _model(self, sender: str) -> ModelFingerprint:
        # Nobody's table, so that every receiver renders the beliefs on its own.
        return ModelFingerprint(sender, "", self.receiver.tokenizer, self.receiver.vocabulary, 0)


def check_encoder(agent: str, encoder: str | None) -> None:
    """Raise ConfigError where an agent that says beliefs over labels is given an encoder that cannot."""
    if encoder not in (None, ENCODER):
        raise ConfigError(
            f"agent {agent!r} holds a belief over labels, whose message is its expectation: give it encoder: {ENCODER}, or "
            f"encoder: none; got {encoder}"
        )


def read_words(text: str, labels: Sequence[str], *, trust: float = 0.9) -> Belief:
    """Return what words say of labels: see `Verbaliser.read`."""
    stated = _stated(text, labels)
    if len(stated) == len(labels) and sum(stated.values()) > 0:
        return Belief.of(labels, [stated[label] for label in labels])
    rest = text.rpartition("Answer:")[2]
    found = [(place, label) for label in labels if (place := _place(rest, label)) is not None]
    if not found:
        return Belief.abstain(labels, "none of the labels is said")
    label = min(found, key=lambda pair: (pair[0], -len(pair[1])))[1]
    if len(labels) == 1:
        return Belief.certain(labels, label)
    return Belief.of(labels, [trust if each == label else (1 - trust) / (len(labels) - 1) for each in labels])


def read_sequence_words(text: str, labels: Sequence[str], *, trust: float = 0.9) -> BeliefSequence:
    """Return what words say of a sequence of labels: see `Verbaliser.read_sequence`."""
    _, cue, rest = text.rpartition("Answer:")
    names = "|".join(re.escape(label) for label in sorted(labels, key=len, reverse=True))
    said = re.findall(rf"(?<!\w)(?:{names})(?!\w)", rest) if names else []
    if not said:
        return BeliefSequence.abstain(labels, "none of the labels is said")
    stated = [_stated(part, labels) for part in text[: len(text) - len(rest) - len(cue)].split(";")]
    if len(stated) == len(said) and all(len(each) == len(labels) and sum(each.values()) > 0 for each in stated):
        return BeliefSequence(
            tuple(labels), tuple(Belief.of(labels, [each[label] for label in labels]) for each in stated)
        )
    other = (1 - trust) / max(len(labels) - 1, 1)
    return BeliefSequence(
        tuple(labels),
        tuple(Belief.of(labels, [trust if each == label else other for each in labels]) for label in said),
    )


def _shares(belief: Belief) -> str:
    """Return every label with its probability in percent."""
    return ", ".join(f"{label} {100 * p:.1f}%" for label, p in zip(belief.labels, belief.probabilities, strict=True))


def _behind(tokens: Sequence[int], words: Sequence[int]) -> int:
    """Return the place behind the last time that some words stand among tokens; 0 where they do not, or are none."""
    for start in range(len(tokens) - len(words), -1, -1) if words else ():
        if list(tokens[start : start + len(words)]) == list(words):
            return start + len(words)
    return 0


def _stated(text: str, labels: Sequence[str]) -> dict[str, float]:
    """Return the percentages that a text states, the first of each label; in "much lower 10%" nothing is said of "lower"."""
    # The longest first, so that what one match takes is left for no label inside it.
    names = "|".join(re.escape(label) for label in sorted(labels, key=len, reverse=True))
    found: dict[str, float] = {}
    for match in re.finditer(rf"(?<![\w.])({names}) (\d{{1,3}}(?:\.\d{{1,6}})?)%", text) if names else ():
        found.setdefault(match[1], float(match[2]))
    return found


def _place(text: str, label: str) -> int | None:
    """Return where a label stands as a word of its own, or None."""
    found = re.search(rf"(?<!\w){re.escape(label)}(?!\w)", text)
    return found.start() if found else None


def _mix(columns: Sequence[Sequence[int]], probabilities: Sequence[float]) -> list[dict[int, float]]:
    """Return, for each position, the belief over tokens of a belief over columns of them."""
    steps: list[dict[int, float]] = []
    for tokens in zip(*columns, strict=True):
        step: dict[int, float] = {}
        for token, p in zip(tokens, probabilities, strict=True):
            if p > 0:
                step[token] = step.get(token, 0.0) + p
        steps.append(step)
    return steps


def _spelled(nearest: Sequence[int], labels: Sequence[Sequence[int]]) -> tuple[int, int] | None:
    """Return where a label is spelled last, and which: of those that begin there the longest, or one that it is the end of."""
    found: tuple[int, int] | None = None
    longest = max(map(len, labels), default=0)
    for start in range(len(nearest) - 1, -1, -1):
        if found is not None and start + longest < found[0] + len(labels[found[1]]):
            break
        here = [k for k, ids in enumerate(labels) if ids and list(nearest[start : start + len(ids)]) == list(ids)]
        if not here:
            continue
        label = max(here, key=lambda k: len(labels[k]))
        if found is None or start + len(labels[label]) >= found[0] + len(labels[found[1]]):
            found = start, label
    return found


def _unmix(cipher: Cipher, start: int, columns: Sequence[Sequence[int]], spelled: int) -> list[float]:
    """Return the weights of columns whose mix is nearest to the kept beliefs from a step on; none below 0.

    Of equal columns, which no mix tells apart, the one that is spelled has all, else the first.
    """
    distinct: dict[tuple[int, ...], int] = {tuple(columns[spelled]): spelled}
    for k, column in enumerate(columns):
        distinct.setdefault(tuple(column), k)
    rows, kept = [], []
    for position in range(len(columns[spelled])):
        ids, weights = cipher.top_ids[start + position], cipher.top_probabilities[start + position]
        for token in dict.fromkeys(column[position] for column in distinct):
            rows.append([float(column[position] == token) for column in distinct])
            kept.append(float(weights[ids == token].sum()))
    # By the pseudo-inverse: a least-squares solver of the default kind wants full rank.
    solved = torch.linalg.pinv(torch.tensor(rows, dtype=torch.float64)) @ torch.tensor(kept, dtype=torch.float64)
    found = [0.0] * len(columns)
    for k, weight in zip(distinct.values(), solved.tolist(), strict=True):
        # Roundings of the solver are no beliefs.
        found[k] = weight if weight > SOLVER_ROUNDING else 0.0
    return found


def _beliefs_only(steps: Sequence[dict[int, float]], reading: Sequence[int]) -> Cipher:
    """Return beliefs over tokens without vectors."""
    width = max((len(step) for step in steps), default=1)
    ids = torch.zeros(len(steps), width, dtype=torch.int64)
    probabilities = torch.zeros(len(steps), width)
    entropy = torch.zeros(len(steps))
    for place, step in enumerate(steps):
        for rank, (token, p) in enumerate(sorted(step.items(), key=lambda item: (-item[1], item[0]))):
            ids[place, rank], probabilities[place, rank] = token, p
        entropy[place] = -math.fsum(p * math.log(p) for p in step.values() if p > 0)
    return Cipher(
        vectors=torch.zeros(len(steps), 0),
        nearest=torch.tensor(reading, dtype=torch.int64),
        entropy=entropy,
        max_probability=probabilities.max(dim=1).values if len(steps) else torch.zeros(0),
        top_ids=ids,
        top_probabilities=probabilities,
    )
