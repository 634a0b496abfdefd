"""vLLM behind the backend interface: text and CIPHER requests in one continuous batch."""

import asyncio
import concurrent.futures
import contextlib
import itertools
from collections.abc import Coroutine
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from agents.adapter import find_adapter
from agents.backend import (
    Backend,
    Capabilities,
    FinishReason,
    Generation,
    Load,
    Pending,
    Request,
    Usage,
    likeliest,
    refuse_decoding,
)
from agents.backends.vllm import stages, versions
from agents.backends.vllm.check import Check, refuse_masked
from agents.backends.vllm.directive import MAX_BELIEFS, Directive
from agents.backends.vllm.draw import Draw
from agents.backends.vllm.engine import Engine
from agents.backends.vllm.options import engine_config, keep_private, quiet
from agents.backends.vllm.pending import VLLMPending
from agents.backends.vllm.prompt import log_likelihoods, tokens_read, vllm_prompt
from agents.decoding.ending import kept_before_stop, stop_ids, text_to_show
from agents.decoding.thinking import left_open, thinking_tokens
from agents.errors import BackendFailed, ConfigError, PromptTooLong, RequestError, StartStopped
from agents.fingerprint import ModelFingerprint, tokenizer_hash
from agents.message import Cipher, Message
from agents.message_header import RENDERED
from agents.model_folder import (
    origin_of,
    read_config,
    read_tokenizer,
    refuse_not_finite,
    refuse_other_kinds,
    stored_weights,
    weights_hash,
)
from agents.model_remarks import PlainText, remarks
from agents.pretrained import Progress, locate
from agents.rerender import weights_for
from agents.shards import refuse_damaged
from agents.tokenization import Segment, check_rows, choice_ids, segments
from kernels import EmbeddingTable


@dataclass
class Spoken:
    """What a request has generated so far, how many of the ids belong to the message, and what ends its thinking."""

    ids: list[int] = field(default_factory=list)
    kept: int = 0
    cached: int = 0
    finish: FinishReason | None = None
    shown: int = 0
    closing: str | None = None


class VLLMBackend(Backend):
    """Text and CIPHER requests in one continuous batch, on vLLM.

    The engine is started once, which takes a minute or two, and serves every agent of the model. Every further option is one
    of vLLM's engine arguments by its own name: tensor_parallel_size, gpu_memory_utilization, max_model_len, max_num_seqs,
    quantization, enable_lora, enforce_eager, kv_cache_memory_bytes, …

    Args:
        model: `smollm2`, a hub id, or a local folder.
        dtype: `bfloat16`, `float32` or `float16`.
        restarts: how often an engine that died is started again; 0 leaves it dead.
        revision: of a hub id.
        trust_remote_code: run code that comes with the model.
        progress: called with a sentence for each slow step.
        options: vLLM's engine arguments.
    """

    def __init__(
        self,
        model: str = "smollm2",
        *,
        dtype: str = "bfloat16",
        restarts: int = 0,
        revision: str | None = None,
        trust_remote_code: bool = False,
        progress: Progress = lambda _: None,
        **options: Any,
    ) -> None:
        if restarts < 0:
            raise ConfigError(f"restarts must be at least 0; got {restarts}")
        stages.begin("reading the model's files")
        quiet()
        keep_private()
        if warning := versions.check():
            progress(f"warning: {warning}")
        folder = locate(model, revision=revision, progress=progress)
        progress(f"starting vLLM {versions.installed()} with {model} ({dtype}); this takes a minute or two")
        # What is wrong with the folder is said before vLLM sees it.
        self.tokenizer, self._stop_ids = _tokenizer(folder, model, trust_remote_code)
        own_config = read_config(folder, name=model, trust_remote_code=trust_remote_code)
        refuse_masked(own_config, model)
        refuse_damaged(folder, own_config, model)
        weights = weights_hash(folder, model)
        refuse_not_finite(stored_weights(folder, model), model)
        stages.begin("importing vLLM, and its configuration")
        config = engine_config(folder, name=model, dtype=dtype, trust_remote_code=trust_remote_code, options=options)
        check = Check(
            folder,
            own_config,
            config,
            name=model,
            weights=weights,
            trust_remote_code=trust_remote_code,
            progress=progress,
        )
        self._dtype: torch.dtype = config.model_config.dtype
        self._lora = config.lora_config is not None
        self._on_cpu: bool = config.device_config.device_type == "cpu"
        self._adapters: dict[str, int] = {}
        stages.begin("starting vLLM's processes")
        try:
            self._engine = Engine(config, restarts=restarts, progress=progress)
        except StartStopped:
            raise
        except BackendFailed as error:
            raise check.not_started(error) from error
        try:
            described: dict[str, Any] = self._engine.wait(self._engine.call("cipher_describe"))
            self._context: int = check.finish(self._engine, described, progress)
        except BaseException:
            self._engine.stop()
            raise
        self._fingerprint = ModelFingerprint(
            model=model,
            table=described["table"],
            tokenizer=tokenizer_hash(self.tokenizer),
            vocabulary=described["vocabulary"],
            width=described["width"],
            weights=weights,
            origin=origin_of(folder),
        )
        for remark in remarks(model, self.tokenizer, self._stop_ids, self._fingerprint.vocabulary):
            progress(remark)
        self._plain = PlainText(model, self.tokenizer, progress)
        self.load = Load()
        self._numbers = itertools.count()
        self._pending: set[VLLMPending] = set()
        self._answers: set[concurrent.futures.Future[None]] = set()
        stages.begin(stages.SPEAKING)

    @property
    def capabilities(self) -> Capabilities:
        """Text and vectors, both ways."""
        return Capabilities(
            text=True,
            vectors_in=True,
            vectors_out=True,
            adapters=self._lora,
            weighs=True,
            renders=True,
            context=self._context,
        )

    @cached_property
    def table(self) -> EmbeddingTable:  # type: ignore[override]
        """What the model reads of each token, fetched from the worker when somebody with another table is heard."""
        return EmbeddingTable(self._engine.wait(self._engine.table()), lasts=False)

    @property
    def fingerprint(self) -> ModelFingerprint:
        """The loaded model's."""
        return self._fingerprint

    def submit(self, request: Request) -> Pending:
        """Queue a request; see Backend."""
        refuse_decoding(request, "vLLM")
        found: list[Segment] = (
            [list(request.tokens)] if request.tokens else segments(request.prompt, self.tokenizer, self._fingerprint)
        )
        check_rows(found, self.tokenizer, self._fingerprint)
        length = sum(segment.num_tokens if isinstance(segment, Message) else len(segment) for segment in found)
        if not length:
            raise RequestError("the prompt is empty: there is nothing to answer")
        choices = choice_ids(request.choices, self.tokenizer)
        if choices and any(isinstance(segment, Message) for segment in found):
            raise RequestError(
                "vLLM gives the log-likelihood of choices after text only, and this prompt holds vectors: let it hear text "
                "(message: text on its edges), or use the backend transformers"
            )
        room = max(map(len, choices)) + 1 if choices else 2 if request.tokens else request.sampling.max_tokens
        if length + room > self._context:
            raise PromptTooLong(length, room, self._context)
        # Everything that a worker must not meet is refused here, where it costs nobody else anything.
        weights = [weights_for(s, self._fingerprint) if isinstance(s, Message) else None for s in found]
        self._plain.remark(request.prompt.format)
        number = next(self._numbers)
        directive = self._directive(request, f"{id(self):x}-{number}")
        params = self._params(request, directive)
        lora = self._adapter(request)
        pending = VLLMPending(self._engine)
        self.load.prompt_tokens += length
        answer = (
            self._weigh([token for segment in found for token in segment], choices, request, pending, lora, str(number))  # type: ignore[union-attr]
            if choices
            else self._read(request, pending, lora, str(number))
            if request.tokens
            else self._generate(request, pending, found, weights, params, directive, lora, str(number))
        )
        self._begin(pending, answer)
        return pending

    async def close(self) -> None:
        """End what is under way as cancelled and end the engine."""
        stages.begin(stages.CLOSING)
        for pending in list(self._pending):
            pending.cancel()
        # Whoever waits for one may do so on another loop, as of a session that was interrupted, and is told there.
        await asyncio.gather(*map(asyncio.wrap_future, list(self._answers)), return_exceptions=True)
        await asyncio.get_running_loop().run_in_executor(None, self._engine.stop)

    def state(self) -> dict[str, int]:
        """Return facts about the worker's CIPHER requests.

        `bytes` of its store of vectors, `blocks` of 16 steps that requests hold there, how many requests were `resumed`
        after a preemption, and how many rows were `held_back` because they yielded no step yet.
        """
        found: dict[str, int] = self._engine.wait(self._engine.call("cipher_state"))
        return found

    async def untouched(self, ids: list[int], params: Any) -> int:
        """Return how many tokens vLLM generates after a prompt of token ids, by its own sampling and without our hooks."""
        from vllm.inputs.engine import tokens_input

        async def count() -> int:
            await self._engine.revived()
            generated = 0
            async for output in self._engine.generate(
                tokens_input(ids), params, f"untouched-{next(self._numbers)}", None
            ):
                generated += len(output.outputs[0].token_ids)
            return generated

        return await asyncio.wrap_future(self._engine.begin(count()))

    def _directive(self, request: Request, key: str) -> Directive | None:
        if request.encoder is None:
            return None
        sampling = request.sampling
        if sampling.top_beliefs > MAX_BELIEFS:
            raise RequestError(
                f"the vllm backend keeps at most {MAX_BELIEFS} beliefs a step; got {sampling.top_beliefs}"
            )
        directive = Directive(
            encoder=request.encoder,
            key=key,
            temperature=sampling.temperature,
            seed=sampling.seed,
            beliefs=min(sampling.top_beliefs, self._fingerprint.vocabulary),
            hearers=tuple(hearer.name for hearer in request.hearers),
        )
        directive.parsed()
        return directive

    def _params(self, request: Request, directive: Directive | None) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        sampling = request.sampling
        extra: dict[str, Any] | None = None
        if directive is not None:
            extra = directive.extra_args()
        else:
            extra = Draw(sampling.temperature, sampling.seed, sampling.top_p, sampling.top_k).extra_args()
        return SamplingParams(
            # What is drawn or mixed is so by the worker, from what is in extra_args; to vLLM every request is greedy.
            temperature=0.0,
            max_tokens=sampling.max_tokens,
            stop_token_ids=[] if sampling.ignore_eos else sorted(self._stop_ids),
            ignore_eos=sampling.ignore_eos,
            detokenize=False,
            output_kind=RequestOutputKind.DELTA,
            extra_args=extra,
        )

    def _adapter(self, request: Request) -> Any:
        if request.adapter is None:
            if self._lora and self._on_cpu:
                raise RequestError(
                    "with enable_lora on a CPU every request needs an adapter: vLLM 0.32 computes those without one as if they "
                    "had one when they share a batch. Start an engine without enable_lora for the others."
                )
            return None
        from vllm.lora.request import LoRARequest

        if not self._lora:
            raise RequestError("adapters need the backend's option enable_lora: true")
        folder = find_adapter(request.adapter)
        number = self._adapters.setdefault(str(folder), len(self._adapters) + 1)
        return LoRARequest(str(folder), number, str(folder))

    def _begin(self, pending: VLLMPending, answer: Coroutine[Any, Any, tuple[Generation, int]]) -> None:
        """Have one request run to its end, on the engine's loop."""
        self._pending.add(pending)
        self.load.running += 1
        answering = self._engine.begin(self._answer(pending, answer))
        self._answers.add(answering)
        answering.add_done_callback(self._answers.discard)

    async def _answer(self, pending: VLLMPending, answer: Coroutine[Any, Any, tuple[Generation, int]]) -> None:
        """Run one request to its end, on the engine's loop."""
        shown = 0
        outcome: Generation | BackendFailed
        try:
            outcome, shown = await answer
        except BackendFailed as error:
            outcome = error
        except Exception as error:  # whoever waits must learn of it
            outcome = BackendFailed(f"vLLM failed on this request: {type(error).__name__}: {error}")
            outcome.__cause__ = error
        # Before whoever waits goes on.
        self.load.running -= 1
        self._pending.discard(pending)
        if isinstance(outcome, Generation) and pending.is_followed:
            # What was shown is counted over all that was said, thinking included; the message's text is what is behind it.
            pending.show(self.tokenizer.decode(list(outcome.message.token_ids))[shown:])
        pending.tell(outcome)

    async def _generate(
        self,
        request: Request,
        pending: VLLMPending,
        found: list[Segment],
        weights: list[torch.Tensor | None],
        params: Any,
        directive: Directive | None,
        lora: Any,
        number: str,
    ) -> tuple[Generation, int]:
        """Return what a request generates, and how many characters of it were shown, of its thinking as of its text."""
        last = found[-1]
        spoken = Spoken(closing=None if isinstance(last, Message) else left_open(last, self.tokenizer))
        await self._engine.revived()
        if directive is not None:
            for hearer in request.hearers:
                await self._engine.hold(hearer)
        prompt, length = await vllm_prompt(self._engine, found, weights, model=self._fingerprint, dtype=self._dtype)
        await self._listen(request, pending, spoken, prompt, params, number, lora)
        return await self._generation(request, spoken, directive, length), spoken.shown

    async def _weigh(
        self,
        ids: list[int],
        choices: list[list[int]],
        request: Request,
        pending: VLLMPending,
        lora: Any,
        number: str,
    ) -> tuple[Generation, int]:
        """Return the likeliest choice after a prompt."""
        await self._engine.revived()
        found = await log_likelihoods(self._engine, ids, choices, pending, adapter=lora, number=number)
        best = likeliest(choices, found) if found else []
        message = Message(self.tokenizer.decode(best), self._fingerprint, request.sampling.temperature, tuple(best))
        is_done = len(found) == len(choices)
        usage = Usage(len(ids) + sum(map(len, choices)), 0, 0)
        return Generation(message, usage, "stop" if is_done else "cancelled", tuple(found) if is_done else ()), 0

    async def _read(self, request: Request, pending: VLLMPending, lora: Any, number: str) -> tuple[Generation, int]:
        """Return how likely each of a request's tokens is, and the likeliest one after them."""
        await self._engine.revived()
        found = await tokens_read(self._engine, request.tokens, pending, adapter=lora, number=number)
        if not found:
            nothing = Message("", self._fingerprint, request.sampling.temperature, ())
            return Generation(nothing, Usage(len(request.tokens), 0, 0), "cancelled"), 0
        said = found[-1].token
        message = Message(self.tokenizer.decode([said]), self._fingerprint, request.sampling.temperature, (said,))
        return Generation(message, Usage(len(request.tokens), 0, 1), "length", read=found), 0

    async def _listen(
        self, request: Request, pending: VLLMPending, spoken: Spoken, prompt: Any, params: Any, number: str, lora: Any
    ) -> None:
        """Follow one request until it ends or is cancelled."""
        async with contextlib.aclosing(
            pending.while_wanted(self._engine.generate(prompt, params, number, lora))
        ) as outputs:
            async for output in outputs:
                self._hear(request, spoken, output)
                if pending.is_followed:
                    self._show(request, pending, spoken)
                if spoken.finish is not None:
                    return
        if not pending.is_cancelled:
            raise BackendFailed("vLLM ended a request in its midst")
        spoken.finish = "cancelled"

    def _hear(self, request: Request, spoken: Spoken, output: Any) -> None:
        """Take what vLLM generated; a stop string ends the message here, by the text that the other backends see."""
        spoken.cached = output.num_cached_tokens or 0
        for completion in output.outputs:
            for token in completion.token_ids:
                spoken.ids.append(token)
                self.load.generated_tokens += 1
                if token in self._stop_ids and not request.sampling.ignore_eos:
                    spoken.kept, spoken.finish = len(spoken.ids) - 1, "stop"
                    return
                spoken.kept = len(spoken.ids)
                if (kept := kept_before_stop(spoken.ids, request.sampling.stop, self.tokenizer)) is not None:
                    spoken.kept, spoken.finish = kept, "stop"
                    return
            if completion.finish_reason is not None:
                spoken.finish = "length" if completion.finish_reason == "length" else "stop"

    def _show(self, request: Request, pending: VLLMPending, spoken: Spoken) -> None:
        if spoken.finish is None:
            text = text_to_show(spoken.ids[: spoken.kept], request.sampling.stop, self.tokenizer)
            pending.show(text[spoken.shown :])
            spoken.shown = max(spoken.shown, len(text))

    async def _generation(
        self, request: Request, spoken: Spoken, directive: Directive | None, length: int
    ) -> Generation:
        ids = spoken.ids[: spoken.kept]
        cipher = None
        if directive is not None:
            if spoken.kept:
                said = await self._engine.take(directive.key, spoken.kept)
            else:
                # Cancelled before the worker heard of it, or ended by its first token: there is nothing to fetch.
                await self._engine.call("cipher_drop", [directive.key])
                said = self._nothing(directive.beliefs, request)
            own = {name: tensor for name, tensor in said.items() if not name.startswith(RENDERED)}
            names = [hearer.name for hearer in request.hearers]
            cipher = Cipher(**own, rendered={name: said[f"{RENDERED}{name}"] for name in names})  # type: ignore[arg-type]
            if said["nearest"].tolist() != ids:
                raise BackendFailed("the vectors that came back are not those of the tokens that came back")
        thought = thinking_tokens(ids, self.tokenizer, spoken.closing)
        message = Message(
            text=self.tokenizer.decode(ids[thought:]),
            model=self._fingerprint,
            temperature=request.sampling.temperature,
            token_ids=tuple(ids),
            encoder=None if directive is None else str(directive.parsed()),
            cipher=cipher,
            thinking=self.tokenizer.decode(ids[:thought]) if thought else "",
            thinking_tokens=thought,
        )
        assert spoken.finish is not None
        return Generation(message, Usage(length, spoken.cached, len(spoken.ids)), spoken.finish)

    def _nothing(self, beliefs: int, request: Request) -> dict[str, torch.Tensor]:
        """Return the tensors of a message of no steps."""
        none, real = torch.zeros(0, dtype=torch.int64), torch.zeros(0)
        return {
            "vectors": torch.zeros(0, self._fingerprint.width, dtype=self._dtype),
            "nearest": none,
            "entropy": real,
            "max_probability": real,
            "top_ids": none.view(0, beliefs),
            "top_probabilities": real.view(0, beliefs),
            **{
                f"{RENDERED}{hearer.name}": hearer.table.weight.new_zeros(0, hearer.model.width)
                for hearer in request.hearers
            },
        }


def _tokenizer(folder: Path, model: str, trust_remote_code: bool) -> tuple[Any, frozenset[int]]:
    """Return the tokenizer and the ids that end a message, as transformers knows them."""
    from transformers import GenerationConfig

    tokenizer: Any = read_tokenizer(folder, name=model, trust_remote_code=trust_remote_code)
    config = read_config(folder, name=model, trust_remote_code=trust_remote_code)
    refuse_other_kinds(config, model)
    generation = None
    with contextlib.suppress(OSError):  # a folder may have none
        generation = GenerationConfig.from_pretrained(folder)
    return tokenizer, stop_ids(generation, config, tokenizer)
