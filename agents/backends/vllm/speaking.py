"""What both of vLLM's model runners have in common when they speak: a speaker on the model's table, and whose rows are whose."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from agents.backends.vllm.directive import KEY, MAX_BELIEFS, Directive, read
from agents.backends.vllm.draw import Draw, Drawer
from agents.backends.vllm.embedding import table_hash, vocabulary_of
from agents.backends.vllm.speaker import Speaker, Vocabulary
from agents.backends.vllm.staged import Staged
from agents.backends.vllm.stages import begin
from agents.backends.vllm.store import ROWS_PER_BLOCK
from agents.errors import RequestError

# Steps of each of the most requests at once whose vectors have room on a GPU before vLLM sizes its cache; more take from what it
# leaves free.
RESERVED_STEPS = 128
REHEARSED = ("expectation", "topk(k=10)")


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
    scheduler_config: Any

    def load_lora_model(self, model: Any, *args: Any) -> Any:
        """Wrap the model for adapters; its table is looked at before, while it can be called without a batch."""
        self._make_ready(model)
        return super().load_lora_model(model, *args)  # type: ignore[misc]

    def profile_run(self, *args: Any, **kwargs: Any) -> Any:
        """See vLLM; on a GPU what speaking needs is made and rehearsed here, where vLLM measures before it sizes its cache."""
        if not self.vocabulary.defers:
            return super().profile_run(*args, **kwargs)  # type: ignore[misc]
        self.vocabulary.prepare()
        requests = int(self.scheduler_config.max_num_seqs)
        self.speaker.store.reserve(requests * RESERVED_STEPS // ROWS_PER_BLOCK)
        done = super().profile_run(*args, **kwargs)  # type: ignore[misc]
        for count in sorted({min(count, requests) for count in (1, 17, 33, requests)}):
            self._rehearse(count)
        return done

    @torch.inference_mode()
    def _rehearse(self, count: int) -> None:
        """Take a step of some requests: by an encoder that mixes the belief, by one that makes another of it, and in text."""
        logits = torch.zeros(count, self.model_config.get_vocab_size(), device=self.device)
        names = [f"rehearsal-{row}" for row in range(count)]
        for encoder in REHEARSED:
            for name in names:
                directive = Directive(encoder, name, temperature=1.0, seed=0, beliefs=MAX_BELIEFS)
                self.speaker.begin(name, directive, temperature=1.0, seed=0, prompt_length=0)
            self.speaker.say(logits, names, [0] * count)
            for name in names:
                self.speaker.drop(name)
        for name in names:
            self.drawer.begin(name, Draw(1.0, 0, top_p=0.9).extra_args(), 0)
        self.drawer.draw(logits, names, [0] * count)
        for name in names:
            self.drawer.end(name)

    def render(self, ids: list[list[int]], weights: list[list[float]]) -> torch.Tensor:
        """Return [T, D] in the table's dtype: step t is the sum of weights[t][k] times the row of ids[t][k], in float32."""
        rows = self.vocabulary.rows(torch.tensor(ids, device=self.device).flatten()).float()
        mixed = torch.tensor(weights, device=self.device)[..., None] * rows.view(len(ids), -1, rows.shape[-1])
        return mixed.sum(dim=1).to(self.vocabulary.dtype)

    def _make_ready(self, model: Any) -> None:
        from vllm.distributed import get_tp_group

        begin("preparing the embedding table")
        num_tokens = self.model_config.get_vocab_size()
        self.table_hash = table_hash(model, num_tokens)
        self.vocabulary = vocabulary_of(model, num_tokens, get_tp_group())
        self.speaker = Speaker(self.vocabulary, self.device, num_tokens=num_tokens)
        self.drawer = Drawer(deferred=self.device.type == "cuda")

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

    def _tokens(
        self,
        logits: torch.Tensor,
        spoken: Sequence[Place],
        drawn: Sequence[Place],
        divisors: Sequence[float] = (),
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the rows [n] of what is spoken and then of what is drawn, and the tokens [n] that go there.

        Args:
            logits: processed, [B, V], of all rows.
            spoken, drawn: whose rows they are.
            divisors: what each of these rows was divided by, which is undone; empty: nothing was.
        """
        places = [*spoken, *drawn]
        staged = Staged(logits.device)
        rows = staged.integers([place.row for place in places])
        factors = staged.reals(divisors) if any(divisor != 1 for divisor in divisors) else None
        saying = drawing = None
        if spoken:
            steps = [self.speaker.step_at(place.request, place.position) for place in spoken]
            saying = self.speaker.plan(staged, [place.request for place in spoken], steps)
        if drawn:
            drawing = self.drawer.plan(staged, [place.request for place in drawn], [place.position for place in drawn])
        staged.send()
        if [place.row for place in places] != list(range(len(logits))):
            logits = logits[rows.tensor]
        if factors is not None:
            logits = logits.float() * factors.tensor.float()[:, None]
        found: list[torch.Tensor] = []
        if saying is not None:
            found.append(self.speaker.follow(saying, logits[: len(spoken)]))
        if drawing is not None:
            found.append(self.drawer.follow(drawing, logits[len(spoken) :]))
        return rows.tensor, torch.cat(found)
