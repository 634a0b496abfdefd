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
from agents.errors import BeliefError, ConfigError, RequestError, UnknownName
from agents.models.langsamp.backend import LangSAMP
from agents.models.langsamp.model import LANGUAGES, SCRIPTS
from agents.models.sentences.folder import read_settings, write_settings
from agents.observation import Case, Observation, Text
from agents.pretrained import locate

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
        tables: `intact`; as controls `swapped`, every row the next one's, or `random`, rows of as much length.
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

    def _believe(self, cases: Sequence[Case], observations: Sequence[Any]) -> list[Belief]:
        beliefs = []
        for case, text in zip(cases, observations, strict=True):
            labels, options = case.alternatives
            if not options:
                beliefs.append(Belief.abstain(labels, "the case has no options to fill in"))
                continue
            scores = [self.likelihood(text, option) / self.temperature for option in options]
            beliefs.append(Belief.from_log_likelihoods(labels, scores))
        return beliefs

    @torch.inference_mode()
    def likelihood(self, text: Text, word: str) -> float:
        """Return the mean log-probability of a word's tokens, in nats, all of them masked in the gap.

        Raises:
            RequestError: the text with the word is longer than the model reads.
        """
        around = text.text.partition(GAP)
        before, said, after = (self._tokens(part) for part in (around[0], word, around[2]))
        first, count = 1 + len(before), len(said)
        masked = [self.tokenizer.mask_token_id] * count
        shown = torch.tensor([[self.tokenizer.bos_token_id, *before, *masked, *after, self.tokenizer.eos_token_id]])
        longest = self.model.encoder.longest
        if shown.shape[1] > longest:
            raise RequestError(
                f"{self.name} reads at most {longest} tokens; this text has {shown.shape[1]} with {word!r}"
            )
        *_, states = self.model.encoder.states(shown, torch.ones_like(shown, dtype=torch.bool))
        places = slice(first, first + count)
        logits = self.model.body.lm_head(states[0, places] + self._pair(text, shown, states))
        found = torch.log_softmax(logits.double(), -1)[torch.arange(count), torch.tensor(said)]
        return float(found.mean())

    @torch.inference_mode()
    def guessed(self, shown: Tensor, states: Tensor) -> Tensor:
        """Return the rows' sum [D] under which the visible tokens [1, T] are likeliest, each read at its own place."""
        pairs = self.rows[LANGUAGES][:, None] + self.rows[SCRIPTS][None]
        special = torch.tensor(self.tokenizer.all_special_ids)
        there = ~torch.isin(shown[0], special)
        tokens, seen = shown[0, there], states[0, there]
        likely = [
            float(
                torch.log_softmax(self.model.body.lm_head(seen + pair).double(), -1).gather(1, tokens[:, None]).mean()
            )
            for pair in pairs.flatten(0, 1)
        ]
        best: Tensor = pairs.flatten(0, 1)[max(range(len(likely)), key=likely.__getitem__)]
        return best

    def _pair(self, text: Text, shown: Tensor, states: Tensor) -> Tensor:
        if self.language == "none" or not self.rows:
            return states.new_zeros(states.shape[-1])
        if self.language == "guess":
            return self.guessed(shown, states)
        assert text.language is not None
        assert text.script is not None
        language, script = self.rows[LANGUAGES], self.rows[SCRIPTS]
        found: Tensor = (
            language[self.backend.languages.index(text.language)] + script[self.backend.scripts.index(text.script)]
        )
        return found

    def _tokens(self, text: str) -> list[int]:
        found: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"] if text.strip() else []
        return found


def _changed(rows: Tensor, tables: str) -> Tensor:
    """Return rows of a table [L, D] as a control has them."""
    if tables == "swapped":
        return rows.roll(1, 0)
    if tables == "random":
        drawn = torch.randn(rows.shape, generator=torch.Generator().manual_seed(0), dtype=rows.dtype)
        found: Tensor = drawn / drawn.norm(dim=1, keepdim=True) * rows.norm(dim=1, keepdim=True)
        return found
    return rows
