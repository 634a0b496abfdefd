"""Debates as a model type of lm-evaluation-harness: `--model cipher-debate --model_args config=debaters/experts`.

A version of it that finds plug-ins by entry points loads this module by itself; `debate lm-eval` registers it for 0.4.13.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# The harness fills its registry of models while that is empty, so its own come first.
import lm_eval.models  # noqa: F401
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.api.registry import register_model
from tqdm import tqdm

from agents.errors import ConfigError, RequestError
from debate.serving.local import LocalModels
from debate.serving.models import configs_of
from debate.serving.weighing import Weighed

NAME = "cipher-debate"
# What a task may call the most tokens of an answer, the first that is given.
LENGTHS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
# Chosen by the command line for engines that batch; ours batch whatever comes.
UNUSED = ("batch_size", "max_batch_size", "device")


class ChatText(str):
    """A conversation as the JSON of its messages, which a task hands back as its context."""

    __slots__ = ()


@register_model(NAME)
class DebateLM(LM):  # type: ignore[misc]
    """A config as a language model: a context is debated, and what comes back is the deciding agent's own words.

    Args:
        config: a config file, or the name of a shipped one.
        agent: a debater of it that answers alone.
        method: `single`, `text`, `cipher`, or a method that the config writes down.
        rounds, temperature, seed: as in `extra_body={"debate": …}` of the server.
        question_id: key of a task's documents with the id of a question, from which with the seed all that is drawn follows;
            by default ids are made of the question's text.
        num_concurrent: debates at once.
        loglikelihood: whether `loglikelihood` is answered, by the deciding agent in its last turn; see docs/serving.md.
        out: folder in which each debate is kept as a run.
        given: what the command line passes to every model type.

    Raises:
        DebateError: a config that cannot be played, or an argument that is not known.
    """

    def __init__(
        self,
        config: str,
        *,
        agent: str | None = None,
        method: str | None = None,
        rounds: int | None = None,
        temperature: float | None = None,
        seed: int | None = None,
        question_id: str | None = None,
        num_concurrent: int = 32,
        loglikelihood: bool = False,
        out: str | None = None,
        **given: Any,
    ) -> None:
        super().__init__()
        if strange := sorted(set(given) - set(UNUSED)):
            known = "config, agent, method, rounds, temperature, seed, question_id, num_concurrent, loglikelihood, out"
            raise ConfigError(f"--model_args {strange[0]!r}: {NAME} does not know it. Known: {known}.")
        if type(num_concurrent) is not int or num_concurrent < 1:
            raise ConfigError(f"--model_args num_concurrent: a whole number of at least 1; got {num_concurrent!r}")
        configs = configs_of([Path(config)])
        (id,) = configs
        self._id = id if agent is None else f"{id}/{agent}"
        overrides = {"method": method, "rounds": rounds, "temperature": temperature, "seed": seed}
        self._overrides = {key: value for key, value in overrides.items() if value is not None}
        self._question_id, self._weighs = question_id, loglikelihood
        self._models = LocalModels(configs, concurrent=num_concurrent, out=None if out is None else Path(out))
        self._places = asyncio.Semaphore(num_concurrent)

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Return what the deciding agent said last of each context, cut where the task says."""

        async def answer(request: Instance) -> str:
            context, options = request.args
            found = await self._models.asked(self._body(context, request.doc, options))
            self.cache_hook.add_partial("generate_until", request.args, found.content)
            return found.content

        found: list[str] = self._models.run(_gathered(map(answer, requests), len(requests), not disable_tqdm))
        return found

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Return how likely the deciding agent finds each continuation in its last turn, and whether it is greedy.

        Raises:
            NotImplementedError: it was not asked for.
        """
        if not self._weighs:
            raise NotImplementedError(
                "a debate gives log-likelihoods of its deciding agent alone, in its last turn; if that is what the task is to "
                "score, ask for it: --model_args loglikelihood=true,… Tasks that generate need nothing of the kind."
            )
        # One debate a context, however many continuations it has.
        places: dict[str, list[int]] = defaultdict(list)
        for place, request in enumerate(requests):
            places[self._key(request)].append(place)
        results: list[tuple[float, bool]] = [(0.0, False)] * len(requests)

        async def weigh(mine: Sequence[int]) -> None:
            first = requests[mine[0]]
            async with self._places:
                found: list[Weighed] = await self._models.weighed(
                    self._body(first.args[0], first.doc, {}), [requests[place].args[1] for place in mine]
                )
            for place, one in zip(mine, found, strict=True):
                results[place] = (one.log_likelihood, one.is_greedy)
                self.cache_hook.add_partial("loglikelihood", requests[place].args, results[place])

        self._models.run(_gathered(map(weigh, places.values()), len(places), not disable_tqdm))
        return results

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """Raise NotImplementedError: a debate has no likelihood of a whole text."""
        raise NotImplementedError(
            "a debate answers questions, and gives no likelihood of a whole text (loglikelihood_rolling)"
        )

    @property
    def tokenizer_name(self) -> str:
        """What is asked, for the harness' cache of requests."""
        return f"{NAME}/{self._id}"

    def chat_template(self, chat_template: bool | str = False) -> str:
        """Return nothing: the config's prompts are each agent's, and its model's template is applied to them."""
        return ""

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """Return the messages as they are, so that the debate gets a conversation and not a rendered prompt."""
        return ChatText(json.dumps(chat_history, ensure_ascii=False))

    def close(self) -> None:
        """Free the engines."""
        self._models.close()

    def _key(self, request: Instance) -> str:
        return json.dumps([request.args[0], self._id_of(request.doc)])

    def _id_of(self, doc: Any) -> str | None:
        if self._question_id is None:
            return None
        if not isinstance(doc, dict) or doc.get(self._question_id) is None:
            raise RequestError(f"question_id is {self._question_id!r}, and a document of the task has no such key")
        return str(doc[self._question_id])

    def _body(self, context: str, doc: Any, options: dict[str, Any]) -> dict[str, Any]:
        """Return the request of one context; what a task says of sampling is not passed on, for the config says it."""
        is_chat = isinstance(context, ChatText)
        messages = json.loads(context) if is_chat else [{"role": "user", "content": context}]
        until = options.get("until") or []
        body: dict[str, Any] = {
            "model": self._id,
            "messages": messages,
            "stop": [stop for stop in ([until] if isinstance(until, str) else until) if stop],
            "debate": {**self._overrides, **({} if (id := self._id_of(doc)) is None else {"id": id})},
        }
        longest = next((options[key] for key in LENGTHS if options.get(key) is not None), None)
        return body if longest is None else {**body, "max_tokens": int(longest)}


async def _gathered(coroutines: Any, total: int, shows: bool) -> list[Any]:
    """Return what coroutines come to, in order, with a bar; the first error ends the others."""
    with tqdm(total=total, disable=not shows, desc="debates") as bar:

        async def one(coroutine: Any) -> Any:
            found = await coroutine
            bar.update()
            return found

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(coroutine)) for coroutine in coroutines]
        except BaseExceptionGroup as error:
            raise error.exceptions[0] from None
    return [task.result() for task in tasks]
