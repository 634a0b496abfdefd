"""What both of vLLM's model runners have in common when they speak: a speaker on the model's table, and whose rows are whose."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from agents.backends.vllm.directive import KEY, read
from agents.backends.vllm.draw import Drawer
from agents.backends.vllm.embedding import table_hash, vocabulary_of
from agents.backends.vllm.speaker import Speaker, Vocabulary
from agents.errors import RequestError


class Place(NamedTuple):
    """A request's row of the logits, and the position that its next token goes to."""

    row: int
    request: str
    position: int


class SpeakingRunner:
    """Mixed in before a runner of vLLM's, below the hooks that fit it."""

    speaker: Speaker
    drawer: Drawer
    vocabulary: Vocabulary
    # SHA-256 of the table, as in ModelFingerprint.
    table_hash: str
    # CIPHER requests that came back after a preemption, and rows of theirs that yielded no step yet.
    resumed = 0
    held_back = 0
    # Of vLLM's runner.
    device: torch.device
    model_config: Any

    def load_lora_model(self, model: Any, *args: Any) -> Any:
        """Wrap the model for adapters; its table is looked at before, while it can be called without a batch."""
        self._make_ready(model)
        return super().load_lora_model(model, *args)  # type: ignore[misc]

    def render(self, ids: list[list[int]], weights: list[list[float]]) -> torch.Tensor:
        """Return [T, D] in the table's dtype: step t is the sum of weights[t][k] times the row of ids[t][k], in float32."""
        rows = self.vocabulary.rows(torch.tensor(ids, device=self.device).flatten()).float()
        mixed = torch.tensor(weights, device=self.device)[..., None] * rows.view(len(ids), -1, rows.shape[-1])
        return mixed.sum(dim=1).to(self.vocabulary.dtype)

    def _make_ready(self, model: Any) -> None:
        from vllm.distributed import get_tp_group

        num_tokens = self.model_config.get_vocab_size()
        self.table_hash = table_hash(model, num_tokens)
        self.vocabulary = vocabulary_of(model, num_tokens, get_tp_group())
        self.speaker = Speaker(self.vocabulary, self.device, num_tokens=num_tokens)
        self.drawer = Drawer()

    def _begin(self, request: str, params: Any, prompt_length: int) -> None:
        """Take up a request if its sampling parameters ask for it."""
        if params is None:
            return
        try:
            directive = read(params.extra_args)
        except RequestError as error:
            given = params.extra_args[KEY]
            key = given.get("key") if isinstance(given, dict) else None
            self.speaker.refuse(request, key if isinstance(key, str) else None, str(error))
            return
        if directive is None:
            self.drawer.begin(request, params.extra_args, prompt_length)
        else:
            self.speaker.begin(
                request, directive, temperature=params.temperature, seed=params.seed or 0, prompt_length=prompt_length
            )

    def _end(self, request: str) -> None:
        """The engine is through with a request."""
        self.speaker.end(request)
        self.drawer.end(request)

    def _tokens(self, logits: torch.Tensor, spoken: Sequence[Place], drawn: Sequence[Place]) -> torch.Tensor:
        """Return the tokens of what is spoken, then of what is drawn, from their logits [n, V] in that order."""
        found: list[torch.Tensor] = []
        if spoken:
            steps = [self.speaker.step_at(place.request, place.position) for place in spoken]
            found.append(self.speaker.say(logits[: len(spoken)], [place.request for place in spoken], steps))
        if drawn:
            requests = [place.request for place in drawn]
            found.append(self.drawer.draw(logits[len(spoken) :], requests, [place.position for place in drawn]))
        return torch.cat(found)
