"""The transformers engine behind the backend interface: one thread computes, the event loop hands in and out.

Between two steps the loop runs until it has settled, so requests that answer to the step just finished join the next
one. Which rows share a batch therefore depends on the requests alone, never on the clock, and the same debates give the
same bytes on one machine.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

from agents.attention.options import attention_of, cache_of
from agents.backend import Backend, Capabilities, Generation, Load, Pending, Request
from agents.backends.transformers.engine import Engine, rows_in
from agents.backends.transformers.model import LoadedModel, default_device
from agents.backends.transformers.row import Row
from agents.errors import BackendFailed, ConfigError, MessageError, OutOfMemory, RowFailed
from agents.fingerprint import ModelFingerprint
from agents.model_remarks import PlainText, remarks
from agents.pretrained import Progress, locate
from kernels import EmbeddingTable

# Turns of the event loop between two steps. A finished generation reaches the debate, and the debate's next requests the
# engine, in fewer.
SETTLING_TURNS = 12


class TransformersBackend(Backend):
    """Text and CIPHER requests in one continuous batch, on transformers.

    Args:
        model: `smollm2`, a hub id, or a local folder.
        dtype: `bfloat16`, `float32` or `float16`.
        device: a torch device; the GPU if there is one.
        max_num_seqs: most requests decoded at once.
        prefix_cache: share the keys and values of common prompt prefixes.
        batch_invariant: give a request the same bits whatever shares its batch; on by default on the CPU, where it costs
            little (docs/determinism.md), for models that allow it.
        revision: of a hub id.
        trust_remote_code: run code that comes with the model.
        cache: how keys and values are quantised, e.g. `staircase(bits=(8, 4, 2), chunk=32)` (docs/attention.md).
        attention: in place of the model's own, e.g. `combiner(segment=16)`.
        packed_prompts: read prompts that come at once as one row without padding; only with batch_invariant: false, since the
            shapes of products depend on company then.
        progress: called with a sentence for each slow step.
    """

    def __init__(
        self,
        model: str = "smollm2",
        *,
        dtype: str = "bfloat16",
        device: str | None = None,
        max_num_seqs: int = 16,
        prefix_cache: bool = True,
        batch_invariant: bool | None = None,
        revision: str | None = None,
        trust_remote_code: bool = False,
        cache: str | None = None,
        attention: str | None = None,
        packed_prompts: bool = False,
        progress: Progress = lambda _: None,
    ) -> None:
        if max_num_seqs < 1:
            raise ConfigError(f"max_num_seqs must be at least 1; got {max_num_seqs}")
        stair = None if cache is None else cache_of(cache)
        exchanged = None if attention is None else attention_of(attention)
        folder = locate(model, revision=revision, progress=progress)
        progress(f"loading {model} ({dtype})")
        device = device or default_device()
        if batch_invariant and device != "cpu":
            raise ConfigError(f"batch_invariant holds on the CPU only, and the device is {device}")
        padded = batch_invariant is not False and device == "cpu"
        if packed_prompts and padded:
            raise ConfigError(
                "packed_prompts: what a prompt shares its row with changes its last bits, so that nothing is batch invariant; "
                "set batch_invariant: false too"
            )
        loaded = LoadedModel(
            folder,
            name=model,
            dtype=dtype,
            device=device,
            trust_remote_code=trust_remote_code,
            rows=max_num_seqs if padded else None,
            insist=batch_invariant is True,
            progress=progress,
            exchanged=exchanged,
            stair=stair,
        )
        if loaded.caveat:
            progress(f"warning: {loaded.caveat}")
        for remark in remarks(model, loaded.tokenizer, loaded.stop_ids, loaded.table.num_tokens):
            progress(remark)
        self._plain = PlainText(model, loaded.tokenizer, progress)
        if device == "cpu":
            self._ready_operators(loaded.table, progress)
        if packed_prompts and not loaded.packs:
            raise ConfigError(
                f"packed_prompts: {model} reads positions in a way of its own, or an exchanged one; leave the option out"
            )
        self.engine = Engine(loaded, max_num_seqs=max_num_seqs, prefix_cache=prefix_cache, packs=packed_prompts)
        self.tokenizer, self.table = loaded.tokenizer, loaded.table
        self.load = Load()
        self._pending: dict[Row, Pending] = {}
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="engine")
        self._driver: asyncio.Task[None] | None = None

    @staticmethod
    def _ready_operators(table: EmbeddingTable, progress: Progress) -> None:
        """Build the compiled operators, once a machine, and what they need of the table, before the first step needs them."""
        progress("preparing the operators (built once, in seconds)")
        table.prepare()

    @property
    def capabilities(self) -> Capabilities:
        """Text and vectors, both ways; with an exchanged attention or cache without what reads a text more than once."""
        model = self.engine.model
        return Capabilities(
            text=True,
            vectors_in=True,
            vectors_out=True,
            adapters=model.adapters.are_taken,
            weighs=model.stair is None,
            renders=True,
            forces=True,
            scores=True,
            decodes=model.stair is None and model.exchanged is None,
            horizon=model.horizon,
            context=model.context,
        )

    @property
    def fingerprint(self) -> ModelFingerprint:
        """The loaded model's."""
        return self.engine.model.fingerprint

    @property
    def decoding(self) -> Mapping[str, Any]:
        """The mode that the model was found to need: its way, whether it is batch invariant, and the rows of a step."""
        model = self.engine.model
        return {
            "way": model.mode.way,
            "batch_invariant": model.rows is not None,
            "rows": model.rows,
            **({"why": model.caveat} if model.caveat else {}),
            **({"cache": repr(model.stair)} if model.stair is not None else {}),
            **({"attention": repr(model.exchanged)} if model.exchanged is not None else {}),
        }

    def submit(self, request: Request) -> Pending:
        """Queue a request; see Backend."""
        row = self.engine.prepare(request)
        self._plain.remark(request.prompt.format)
        pending = Pending()
        self._pending[row] = pending
        self.engine.add(row)
        self.load.prompt_tokens += len(row.keys)
        if self._driver is None or self._driver.done():
            self._driver = asyncio.get_running_loop().create_task(self._drive())
        return pending

    async def close(self) -> None:
        """End what is under way as cancelled and free the model."""
        if self._driver is not None and not self._driver.done():
            for pending in self._pending.values():
                pending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._driver
        # In another thread: a step that hangs must not hold the event loop up.
        await asyncio.get_running_loop().run_in_executor(None, self._thread.shutdown)

    async def _drive(self) -> None:
        """Step until there is nothing to do."""
        loop = asyncio.get_running_loop()
        try:
            await _settle()
            while not self.engine.is_idle:
                for row in rows_in(self.engine):
                    if self._pending[row].is_cancelled:
                        self.engine.cancel(row)
                ended = await loop.run_in_executor(self._thread, self.engine.step)
                self._deliver(ended)
                await _settle()
        except asyncio.CancelledError:
            self._fail(BackendFailed("the engine was stopped"))
            raise
        except Exception as error:  # every request that waits must learn of it
            kind = OutOfMemory if is_out_of_memory(error) else BackendFailed
            self._fail(kind(f"the transformers engine failed: {type(error).__name__}: {error}"), error)

    def _deliver(self, ended: list[Row]) -> None:
        model = self.engine.model
        # A text that is said by blocks grows apart from the others.
        apart = [row for row in (self.engine.apart.row,) if row is not None and row.blocks is not None]
        for row in (*self.engine.running, *apart):
            pending = self._pending[row]
            if pending.is_followed:
                pending.push(row.new_text(model.tokenizer))
        for row in ended:
            pending = self._pending[row]
            if pending.is_followed:
                pending.push(row.new_text(model.tokenizer))
            self.load.generated_tokens += 0 if row.choices else row.step
            pending.finish(self._outcome(row))
            # Not before: whatever fails, whoever waits is among those who are told.
            del self._pending[row]
        running = len(self.engine.running) + (self.engine.apart.row is not None)
        self.load.running, self.load.waiting = running, sum(1 for _ in rows_in(self.engine)) - running

    def _outcome(self, row: Row) -> Generation | BackendFailed:
        """Return what a row said, or why it is no message; its neighbours go on."""
        model = self.engine.model
        if row.failure is not None:
            return RowFailed(f"{model.name} cannot answer: {row.failure}.{_precision_hint(model)}")
        try:
            return row.generation(model.fingerprint, model.tokenizer)
        except MessageError as error:
            failure = RowFailed(f"{model.name} cannot answer: {error}")
            failure.__cause__ = error
            return failure

    def _fail(self, failure: BackendFailed, cause: Any = None) -> None:
        failure.__cause__ = cause
        for pending in self._pending.values():
            pending.finish(failure)
        self._pending.clear()
        self.engine.waiting.clear()
        self.engine.running.clear()
        self.engine.apart.clear()


def _precision_hint(model: LoadedModel) -> str:
    return " In float16 numbers overflow at 65504; use dtype: bfloat16." if model.dtype == torch.float16 else ""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is no memory left; on the CPU torch has no type for it."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


async def _settle() -> None:
    """Let everything that is ready run, a fixed number of turns, so that timing decides nothing."""
    for _ in range(SETTLING_TURNS):
        await asyncio.sleep(0)
