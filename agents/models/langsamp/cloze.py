"""An agent that fills in a word: LangSAMP's head at a mask, told the language and the script, or guessing them.

The tables act here, where the head reads h + E_language + E_script (Liu et al., 2024, arXiv:2409.18199), and nowhere in comparing
texts. B texts, T positions, D width, V tokens, L pairs of a language and a script.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from agents.beliefs.belief import Belief
from agents.beliefs.belief_backend import BeliefBackend
from agents.control_tokens import control_tokens
from agents.errors import BeliefError, ConfigError, RequestError, UnknownName
from agents.models.langsamp.backend import LangSAMP
from agents.models.langsamp.model import LANGUAGES, SCRIPTS
from agents.models.sentences.folder import read_settings, write_settings
from agents.observation import Observation, Text
from agents.pretrained import locate
from agents.question import Question

STORED = "langsamp_cloze.json"
GAP = "___"
"""What stands for the missing word in a text."""
TOLD = ("given", "guess", "none")
TABLES = ("intact", "swapped", "random")


class LangSAMPCloze(BeliefBackend):
    """A belief over the words that may stand in a gap: softmax of their tokens' mean log-probability / temperature.

    Args:
        backend: model, tokenizer, and what the tables' rows stand for.
        language: `given`, the text's own language and script, which an observation says; `guess`, those under which the words
            around the gap are likeliest; `none`, as if there were no tables.
        tables: `intact`; as controls `swapped`, every row the one before its own, or `random`, rows of as much length.
        temperature: fitted on a validation split it is calibrated.
    """

    modality = "text"

    def __init__(
        self, backend: LangSAMP, *, language: str = "given", tables: str = "intact", temperature: float = 1.0
    ) -> None:
        if language not in TOLD:
            raise UnknownName("way to know the language", language, TOLD)
        if tables not in TABLES:
            raise UnknownName("kind of tables", tables, TABLES)
        if not (temperature > 0 and math.isfinite(temperature)):
            raise BeliefError(f"temperature must be finite and above 0; got {temperature}")
        self.model, self.tokenizer, self.backend = backend.texts.model, backend.texts.tokenizer, backend
        self.language, self.tables, self.temperature = language, tables, temperature
        known = {name: self.model.table(name) for name in (LANGUAGES, SCRIPTS)}
        if language != "none" and (None in known.values() or not (backend.languages and backend.scripts)):
            raise ConfigError("this model has no tables whose rows have names: give options: {language: none}")
        self.rows = {
            name: _changed(table.weight.detach(), tables) for name, table in known.items() if table is not None
        }

    @classmethod
    def from_pretrained(cls, checkpoint: str | None = None, **options: Any) -> Self:
        """Return the agent of a folder that LangSAMP's recipe wrote."""
        backend = LangSAMP.from_pretrained(checkpoint)
        assert checkpoint is not None
        return cls(backend, **{**read_settings(locate(checkpoint) / STORED), **options})

    def save_pretrained(self, folder: Path) -> None:
        """Write LangSAMP's folder, and how its tables are used in langsamp_cloze.json."""
        self.backend.save_pretrained(folder)
        write_settings(
            folder / STORED, {"language": self.language, "tables": self.tables, "temperature": self.temperature}
        )

    @property
    def name(self) -> str:
        """The backend's name."""
        return "langsamp_cloze"

    def check(self, observation: Observation) -> None:
        """Refuse a text without one gap, and one whose language has to be known and is not."""
        assert isinstance(observation, Text)
        if observation.text.count(GAP) != 1:
            raise RequestError(f"{self.name} fills in one gap, {GAP}; the text has {observation.text.count(GAP)}")
        if self.language == "given":
            for what, said, known in (
                ("language", observation.language, self.backend.languages),
                ("script", observation.script, self.backend.scripts),
            ):
                if said not in known:
                    raise RequestError(
                        f"{self.name} is told the {what}, and knows {', '.join(known)}; the text has {said or 'none'}. "
                        "Give options: {language: guess}"
                    )

    def _believe(self, cases: Sequence[Question], observations: Sequence[Any]) -> list[Belief]:
        beliefs = []
        for case, text in zip(cases, observations, strict=True):
            labels, options = case.alternatives
            if not options:
                beliefs.append(Belief.abstain(labels, "the case has no options to fill in"))
                continue
            rows = self.rows_of(text)
            scores = [self.likelihood(text, option, rows) / self.temperature for option in options]
            beliefs.append(Belief.from_log_likelihoods(labels, scores))
        return beliefs

    @torch.inference_mode()
    def likelihood(self, text: Text, word: str, rows: Tensor) -> float:
        """Return the mean log-probability of a word's tokens, in nats, all of them masked in the gap.

        Args:
            text: with the gap.
            word: that may stand there.
            rows: [D], what the tables add (see `rows_of`).

        Raises:
            RequestError: the word is longer than the model reads.
        """
        said = self._tokens(word)
        shown, first = self._shown(text, len(said))
        *_, states = self.model.encoder.states(shown, torch.ones_like(shown, dtype=torch.bool))
        places = slice(first, first + len(said))
        logits = self.model.body.lm_head(states[0, places] + rows)
        found = torch.log_softmax(logits.double(), -1)[torch.arange(len(said)), torch.tensor(said)]
        return float(found.mean())

    def rows_of(self, text: Text) -> Tensor:
        """Return the sum [D] of the tables' rows that are added for a text."""
        if self.language == "guess":
            return self.guessed(text)
        if self.language == "none":
            return torch.zeros(self.model.encoder.width)
        assert text.language is not None
        assert text.script is not None
        found: Tensor = (
            self.rows[LANGUAGES][self.backend.languages.index(text.language)]
            + self.rows[SCRIPTS][self.backend.scripts.index(text.script)]
        )
        return found

    @torch.inference_mode()
    def guessed(self, text: Text) -> Tensor:
        """Return the sum of rows [D] under which the words around the gap are likeliest, each read at its own place."""
        shown, _ = self._shown(text, 1)
        *_, states = self.model.encoder.states(shown, torch.ones_like(shown, dtype=torch.bool))
        pairs = (self.rows[LANGUAGES][:, None] + self.rows[SCRIPTS][None]).flatten(0, 1)
        there = ~torch.isin(shown[0], torch.tensor(self.tokenizer.all_special_ids))
        tokens, seen = shown[0, there], states[0, there]
        if not len(tokens):
            return pairs.mean(0)
        # One language at a time: the head's beliefs of all at once would not fit.
        likely = torch.stack([self._surely(seen + pair, tokens) for pair in pairs])
        return pairs[likely.argmax()]

    def _surely(self, states: Tensor, tokens: Tensor) -> Tensor:
        """Return the mean log-probability of tokens [T], each read off its own state [T, D]."""
        logits = self.model.body.lm_head(states)
        found: Tensor = (logits.gather(1, tokens[:, None])[:, 0] - logits.logsumexp(-1)).mean()
        return found

    def _shown(self, text: Text, count: int) -> tuple[Tensor, int]:
        """Return the tokens [1, T] of a text with so many masks in its gap, and where the first of them stands.

        What is further from the gap than the model reads is left out, evenly on both sides.
        """
        around = text.text.partition(GAP)
        before, after = self._tokens(around[0]), self._tokens(around[2])
        room = self.model.encoder.longest - 2 - count
        if room < 0:
            raise RequestError(
                f"{self.name} reads at most {self.model.encoder.longest} tokens; a word here has {count}"
            )
        left = min(len(before), max(room // 2, room - len(after)))
        before, after = before[len(before) - left :], after[: room - left]
        masks = [self.tokenizer.mask_token_id] * count
        row = [self.tokenizer.bos_token_id, *before, *masks, *after, self.tokenizer.eos_token_id]
        return torch.tensor([row]), 1 + len(before)

    def _tokens(self, text: str) -> list[int]:
        return control_tokens(self.tokenizer).ids_of(text, self.tokenizer) if text.strip() else []


def _changed(rows: Tensor, tables: str) -> Tensor:
    """Return rows of a table [L, D] as a control has them."""
    if tables == "swapped":
        return rows.roll(1, 0)
    if tables == "random":
        drawn = torch.randn(rows.shape, generator=torch.Generator().manual_seed(0), dtype=rows.dtype)
        found: Tensor = drawn / drawn.norm(dim=1, keepdim=True) * rows.norm(dim=1, keepdim=True)
        return found
    return rows
