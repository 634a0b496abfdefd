"""The provider of Inspect: a config as a model, its debate as the reasoning before the answer."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inspect_ai.log._samples import sample_active
from inspect_ai.model import ChatMessage, GenerateConfig, ModelAPI, ModelOutput
from inspect_ai.model._model_call import ModelCall
from inspect_ai.tool import ToolChoice, ToolInfo

from agents.errors import ConfigError, RequestError
from debate.interop.inspect_outputs import output_of, text_messages
from debate.serving.local import Answered, LocalModels
from debate.serving.models import configs_of

OVERRIDES = ("method", "rounds", "temperature", "seed")
OPTIONS = ("agent", *OVERRIDES, "concurrent", "out")


class DebateAPI(ModelAPI):
    """A config as a model, `cipher-debate/CONFIG`.

    Args:
        model_name: a config file, or the name of a shipped one.
        base_url, api_key, config: as of every provider; the first two are not needed.
        options: `agent` (one debater alone), `method`, `rounds`, `temperature`, `seed`, `concurrent` (debates at once), `out`
            (a folder in which each debate is kept as a run).

    Raises:
        DebateError: a config that cannot be played, or an option that is not known.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(),  # noqa: B008 - as Inspect's own providers declare it
        **options: Any,
    ) -> None:
        super().__init__(model_name, base_url, api_key, [], config)
        self._asker = Asker(model_name, options)

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> tuple[ModelOutput | Exception, ModelCall]:
        """Return what a debate of the conversation comes to; its temperatures are the config's."""
        if tools:
            raise RequestError("a debate calls no tools; run it without, or let another model call them")
        if config.num_choices not in (None, 1):
            raise RequestError("a debate has one answer; ask again with another seed, or use --epochs")
        body = self._asker.body(
            text_messages(input), stop=config.stop_seqs, longest=config.max_tokens, seed=config.seed
        )
        found = await self._asker.ask(body)
        output = self._asker.output(found)
        # As asked so, it would be played again.
        request = {**body, "debate": {**body["debate"], "id": found.outcome.transcript.question.id}}
        return output, ModelCall.create(request=request, response={"debate_id": found.id, **(output.metadata or {})})

    def max_connections(self) -> int:
        """Return how many debates are played at once."""
        return self._asker.concurrent

    def connection_key(self) -> str:
        """Return what the limit is of: this config."""
        return self.model_name

    async def aclose(self) -> None:
        """Free the engines, after which they are loaded again if need be."""
        await asyncio.to_thread(self._asker.close)


class Asker:
    """Asks debates of one config, with its engines loaded at the first question.

    Args:
        config: a config file, or the name of a shipped one.
        options: see `DebateAPI`.

    Raises:
        ConfigError: an option that is not known.
    """

    def __init__(self, config: str, options: dict[str, Any]) -> None:
        for name in options:
            if name not in OPTIONS:
                raise ConfigError(f"cipher-debate/{config}: unknown option {name!r}. Known: {', '.join(OPTIONS)}.")
        self._configs = configs_of([Path(config)])
        (id,) = self._configs
        self.model = id if options.get("agent") is None else f"{id}/{options['agent']}"
        self._overrides = {key: options[key] for key in OVERRIDES if options.get(key) is not None}
        self._out = None if options.get("out") is None else Path(options["out"])
        self.concurrent = int(options.get("concurrent", 32))
        self._models: LocalModels | None = None

    @property
    def models(self) -> LocalModels:
        """The models, loaded."""
        if self._models is None:
            self._models = LocalModels(self._configs, concurrent=self.concurrent, out=self._out)
        return self._models

    def body(
        self,
        messages: Sequence[dict[str, str]],
        *,
        stop: Sequence[str] | None = None,
        longest: int | None = None,
        seed: int | None = None,
        id: str | None = None,
    ) -> dict[str, Any]:
        """Return the chat request of a conversation."""
        given = {"max_tokens": longest, "seed": seed, "stop": list(stop) if stop else None}
        overrides = self._overrides if id is None else {**self._overrides, "id": id}
        found = {key: value for key, value in given.items() if value is not None}
        return {"model": self.model, "messages": list(messages), "debate": overrides, **found}

    async def ask(self, body: dict[str, Any]) -> Answered:
        """Return the answer to a request; in a further epoch of Inspect's sample it is another question to the draws."""
        sample = sample_active()
        return await self.models.ask(body, epoch=1 if sample is None else sample.epoch)

    def output(self, found: Answered) -> ModelOutput:
        """Return an answer as the output of this model."""
        content = found.content
        return output_of(self.model, found.outcome, content, is_cut=content != found.outcome.content, id=found.id)

    def close(self) -> None:
        """Free the engines."""
        models, self._models = self._models, None
        if models is not None:
            models.close()
