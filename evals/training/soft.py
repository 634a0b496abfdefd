"""What a hearer in training hears as vectors: CIPHER messages of the model as it was, said by the engine that debates use.

So a message in training is what a debate would have sent, its feedback of vectors and its encoder included, and nothing of the
speaker is trained by it.
"""

from collections.abc import Sequence
from pathlib import Path

from agents.backend import Prompt, Request, Sampling
from agents.backends.transformers.engine import Engine
from agents.backends.transformers.model import LoadedModel
from agents.message import Message
from agents.pretrained import locate

ROWS, CHUNK = 64, 1024


class Sender:
    """A model that speaks CIPHER in float32.

    Args:
        model: folder of the model, or the name of the base of an adapter.
        adapter: folder of the adapter, if it is one.
        encoder: how its beliefs become vectors.
        temperatures: of its messages, in turn.
        longest: message, in tokens.
    """

    def __init__(
        self, model: str, adapter: Path | None, *, encoder: str, temperatures: Sequence[float], longest: int
    ) -> None:
        loaded = LoadedModel(locate(model), name=model, dtype="float32", device="cpu", rows=None, insist=False)
        self._engine = Engine(loaded, max_num_seqs=ROWS, prefix_cache=False)
        self._adapter = None if adapter is None else str(adapter)
        self._encoder, self._temperatures, self._longest = encoder, tuple(temperatures), longest
        self._said = 0

    @property
    def table(self) -> str:
        """Fingerprint of the embedding table whose rows its messages mix."""
        return self._engine.model.fingerprint.table

    def __call__(self, prompts: Sequence[Prompt]) -> list[Message]:
        """Return the messages with which prompts are answered."""
        found: list[Message] = []
        for start in range(0, len(prompts), CHUNK):
            rows = [self._engine.prepare(self._request(prompt)) for prompt in prompts[start : start + CHUNK]]
            for row in rows:
                self._engine.add(row)
            while not self._engine.is_idle:
                self._engine.step()
            model = self._engine.model
            found += [row.generation(model.fingerprint, model.tokenizer).message for row in rows]
        return found

    def _request(self, prompt: Prompt) -> Request:
        self._said += 1
        temperature = self._temperatures[self._said % len(self._temperatures)]
        sampling = Sampling(temperature=temperature, max_tokens=self._longest, seed=self._said, top_beliefs=1)
        return Request(prompt, sampling, self._encoder, adapter=self._adapter)
