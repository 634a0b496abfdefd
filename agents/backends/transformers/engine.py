"""The step loop: admit, decode, finish. Rows join and leave between steps; no row waits for another.

Synchronous and single-threaded; `backend.py` drives it from asyncio.
"""

import itertools
from collections import deque
from collections.abc import Iterable, Iterator

import torch

from agents.backend import Request, TokenRead
from agents.backends.transformers.apart import Apart
from agents.backends.transformers.by_blocks import blocks_of
from agents.backends.transformers.exchanged_requests import refuse_exchanged
from agents.backends.transformers.heard import heard_in
from agents.backends.transformers.model import LoadedModel
from agents.backends.transformers.packs import num_packed
from agents.backends.transformers.row import Row, take_ended
from agents.backends.transformers.searching import beam_of
from agents.decoding.cipher_step import cipher_step, requested_encoder
from agents.decoding.rules import requested_decoding
from agents.decoding.sampling import sample, uniform
from agents.decoding.thinking import left_open
from agents.errors import PromptTooLong, RequestError
from agents.hearing_table import HearingTable
from agents.message import Message
from agents.rerender import rerender
from agents.tokenization import Key, Segment, check_rows, choice_ids, num_common, position_keys, segments
from kernels import EmbeddingTable
from kernels.belief import check_maxima
from kernels.encoders import Encoder
from kernels.errors import InvalidBelief, InvalidVector

MIN_SHARED_PREFIX = 16
# Positions whose logits, one number for each token of the vocabulary, are looked at together.
PIECE = 256


class Engine:
    """Continuous batching over one model.

    Args:
        model: the weights.
        max_num_seqs: most rows decoded at once; more wait. A row whose text is searched for is beside them.
        prefix_cache: take the keys and values of a common prompt prefix from a row that has them.
        packs: read the prompts of rows that are admitted together as one packed row (agents/attention/packing.py).
    """

    def __init__(
        self, model: LoadedModel, *, max_num_seqs: int = 16, prefix_cache: bool = True, packs: bool = False
    ) -> None:
        self.packs = packs
        self.model, self.max_num_seqs = model, max_num_seqs
        # How coarse the numbers of a prefix are depends on what comes after it, where the cache is quantised by age.
        self.prefix_cache = prefix_cache and model.stair is None
        self.cache = model.new_cache()
        self.waiting: deque[Row] = deque()
        self.running: list[Row] = []
        self.apart = Apart(model, self.cache, max_num_seqs, self._read_prompt, self._generate)
        # What each slot holds from position 0 on, of rows running or gone.
        self._contents: list[list[Key]] = []
        self._tables: dict[str, EmbeddingTable] = {}

    def prepare(self, request: Request) -> Row:
        """Return the row of a request, its prompt tokenised and checked.

        Raises:
            PromptTooLong: prompt and answer exceed the context.
            RequestError: an unknown encoder or way of decoding, one that an exchanged attention or cache rules
                out, an adapter that cannot be loaded, or a message that this model cannot take.
        """
        refuse_exchanged(request, self.model)
        encoder = None if request.encoder is None else requested_encoder(request.encoder)
        decoding = None if request.decoding is None else requested_decoding(request.decoding)
        if request.adapter is not None:
            self.model.adapters.load(request.adapter)
        # Of tokens that are read as they stand, the first is a prompt, and the others are weighed behind it.
        found = [list(request.tokens[:1])] if request.tokens else self._segments(request)
        check_rows([*found, list(request.tokens)], self.model.tokenizer, self.model.fingerprint)
        keys = position_keys(found)
        messages = {
            place: rerender(segment, self.model.table.weight, self.model.fingerprint)
            for place, segment in enumerate(found)
            if isinstance(segment, Message)
        }
        if not keys:
            raise RequestError("the prompt is empty: there is nothing to answer")
        choices = choice_ids(request.choices, self.model.tokenizer)
        if request.tokens:
            # What comes after the last is looked at, whatever it is.
            choices = [[*request.tokens[1:], request.tokens[-1]]]
        if len(keys) + (room := _room(request, choices)) > self.model.context:
            raise PromptTooLong(len(keys), room, self.model.context)
        # Only now: the vectors of a prompt that is far too long may fill the memory.
        parts = [
            messages[place] if isinstance(segment, Message) else self._embedded(segment)
            for place, segment in enumerate(found)
        ]
        last = found[-1] if found else []
        closing = None if isinstance(last, Message) else left_open(last, self.model.tokenizer)
        heard = heard_in(found, decoding)
        keys = keys if heard is None else heard.keys(keys)
        if request.adapter is not None:
            # Under an adapter the same tokens have other keys and values.
            keys = [(f"{request.adapter} {key}", 0) for key in keys]
        return Row(
            request=request,
            encoder=encoder,
            keys=keys,
            prompt=torch.cat(parts),
            heard=heard,
            beam=beam_of(request, decoding, self.model.fingerprint),
            blocks=blocks_of(request, decoding, self.model.horizon),
            choices=choices,
            closing=closing,
            forced=None if request.forced is None else self._forced(request.forced, request.sampling.max_tokens),
        )

    def _forced(self, message: Message, most: int) -> torch.Tensor:
        """Return what is fed of a forced message, [n, D].

        Raises:
            RequestError: its tokens are of another tokenizer.
        """
        if not message.model.same_tokenizer(self.model.fingerprint):
            raise RequestError(
                f"a message of {message.model.model} cannot be forced on {self.model.name}: the tokenizers differ"
            )
        if message.is_cipher:
            return rerender(message, self.model.table.weight, self.model.fingerprint)[:most]
        return self._embedded(list(message.token_ids[:most]))

    def _segments(self, request: Request) -> list[Segment]:
        return segments(request.prompt, self.model.tokenizer, self.model.fingerprint)

    def add(self, row: Row) -> None:
        """Queue a prepared row."""
        (self.apart.waiting if Apart.takes(row) else self.waiting).append(row)

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do."""
        return not self.waiting and not self.running and not self.apart.rows

    @torch.inference_mode()
    def step(self) -> list[Row]:
        """Admit what fits, advance every running row and one apart by one step, and return the rows that ended."""
        through = self.apart.step()
        ended = [row for row in through if row.finish is not None]
        # Adapted: whoever came before them was let past them meanwhile.
        self.waiting.extendleft(row for row in through if row.finish is None)
        self._admit()
        # A prompt may be answered by its first token, and a row may have been cancelled: slots must be 0 … n−1 again.
        ended += self._remove_finished()
        if self.running:
            self._generate(self.running, self._advance(self.running))
        return ended + self._remove_finished()

    def _advance(self, rows: list[Row]) -> torch.Tensor:
        """Feed each running row its next input and return their logits [n, V]."""
        crossing = [row for row in rows if self.model.crosses(row.position, since=row.position)]
        going = [row for row in rows if row not in crossing] if crossing else rows
        read = {row: self._read_anew(row) for row in crossing}
        if going:
            inputs = torch.stack([self._next_input(row) for row in going])
            positions = torch.tensor([row.position for row in going], device=self.model.device)
            adapters = [row.request.adapter for row in going]
            slots = [row.slot for row in going] if crossing else None
            logits = self.model.decode(self.cache, inputs, positions, adapters, slots)
            if not crossing:
                return logits
            read |= dict(zip(going, logits, strict=True))
        return torch.stack([read[row] for row in rows])

    def _read_anew(self, row: Row) -> torch.Tensor:
        """Read a row again from its beginning, prompt and answer, and return its last logits [V]."""
        if row.forced is not None:
            said = row.forced[: row.step]
        else:
            said = torch.stack(row.vectors) if row.encoder is not None else self._embedded(row.ids)
        inputs = torch.cat([row.prompt, said])
        row.prompt = row.prompt.new_empty(0, row.prompt.shape[1])
        self._contents[row.slot] = []
        return self.model.prefill(self.cache, row.slot, 0, inputs, row.request.adapter)

    def _embedded(self, ids: list[int]) -> torch.Tensor:
        return self.model.table.weight[torch.tensor(ids, device=self.model.device)]

    def cancel(self, row: Row) -> None:
        """End a row as it is; it is returned by the next step."""
        if row.finish is None:
            row.finish = "cancelled"

    def _admit(self) -> None:
        """Prefill waiting rows into free slots; each yields its first token here."""
        while self.waiting and len(self.running) < self.max_num_seqs:
            rows = [row for row in self._take() if row.finish is None]
            if len(rows) > 1:
                self._generate(rows, self._read_packed(rows))
                continue
            for row in rows:
                logits = self._read_prompt(row, row.slot, len(self.running))
                if row.choices:
                    self._weigh(row, logits)
                else:
                    self._generate([row], logits[None])

    def _take(self) -> list[Row]:
        """Take the next waiting row into a slot, or the next ones whose prompts are read as one packed row."""
        count = 1
        if self.packs:
            room = self.max_num_seqs - len(self.running)
            count = num_packed(itertools.islice(self.waiting, room), self._contents, MIN_SHARED_PREFIX)
        taken = [self.waiting.popleft() for _ in range(count)]
        for row in taken:
            row.slot = len(self.running)
            self.running.append(row)
        return taken

    def _read_packed(self, rows: list[Row]) -> torch.Tensor:
        """Read the prompts of several rows as one packed row into their slots and return the last logits [n, V]."""
        for row in rows:
            self._begin(row, row.slot, len(self.running))
        parts = [(row.slot, row.cached, row.prompt[row.cached :]) for row in rows]
        logits = self.model.prefill_packed(self.cache, parts, rows[0].request.adapter)
        for row in rows:
            self._contents[row.slot] = row.keys
            row.prompt = row.prompt.new_empty(0, row.prompt.shape[1])
        return logits

    def _begin(self, row: Row, slot: int, slots: int) -> None:
        """Make room for a row, and take over what a slot has of its prompt."""
        self.cache.reserve(slots, len(row.keys) + _room(row.request, row.choices))
        while len(self._contents) < self.cache.slots:
            self._contents.append([])
        row.cached = self._share_prefix(row, slot)
        # What of this slot is written over is no prefix of anybody any more.
        self._contents[slot] = row.keys[: row.cached]

    def _read_prompt(self, row: Row, slot: int, slots: int) -> torch.Tensor:
        """Read a row's prompt into a slot and return its last logits [V]; `slots` are in use from then on."""
        length, room = len(row.keys), _room(row.request, row.choices)
        self._begin(row, slot, slots)
        logits = self.model.prefill(self.cache, slot, row.cached, row.prompt[row.cached :], row.request.adapter)
        # What is read past the switch is of no use before it.
        self._contents[slot] = [] if self.model.crosses(length - 1, since=0) else row.keys
        if not self.model.crosses(length + room, since=length):
            # Not a slice, which would keep the whole prompt alive.
            row.prompt = row.prompt.new_empty(0, row.prompt.shape[1])
        return logits

    def _weigh(self, row: Row, logits: torch.Tensor) -> None:
        """End a row with the log-likelihood of each of its choices after the prompt, whose last logits are given [V].

        Each choice is read over the one before it, behind the prompt; but for its last token, that nothing follows.
        """
        found: list[float] = []
        length, longest = len(row.keys), max(map(len, row.choices))
        # Where one of them passes the switch, each is read behind a prompt that is read as it asks for.
        anew = self.model.crosses(length + longest - 2, since=length)
        if anew:
            self._contents[row.slot] = []
        for ids in row.choices:
            maxima, each = [], []
            read: list[TokenRead] = []
            for steps in self._steps(row, ids, logits, anew):
                tokens = ids[len(read) : len(read) + len(steps)]
                maxima.append(steps.amax(dim=1))
                likely = torch.log_softmax(steps.double(), dim=1)
                each.append(likely[torch.arange(len(tokens)), torch.tensor(tokens)])
                most, best = likely.max(dim=1)
                read += map(TokenRead, tokens, each[-1].tolist(), best.tolist(), most.tolist())
            try:
                check_maxima(torch.cat(maxima))
            except InvalidBelief as error:
                row.fail(f"choice {len(found) + 1}: {error}")
                return
            found.append(float(torch.cat(each).sum()))
            if row.request.tokens:
                row.read = tuple(read)
        row.choose(found)

    def _steps(self, row: Row, ids: list[int], logits: torch.Tensor, anew: bool) -> Iterator[torch.Tensor]:
        """Yield the logits before each token of a choice, [n, V] with n at most PIECE; see `_weigh`."""
        yield logits[None]
        if len(ids) == 1:
            return
        said, adapter = self._embedded(ids[:-1]), row.request.adapter
        if anew:
            # The model tells from the last position how the first is read.
            whole = torch.cat([row.prompt, said])
            after = self.model.read(self.cache, row.slot, 0, whole, adapter, keep=len(said))
            for offset in range(0, len(said), PIECE):
                yield after[offset : offset + PIECE]
            return
        for offset in range(0, len(said), PIECE):
            part = said[offset : offset + PIECE]
            yield self.model.read(self.cache, row.slot, len(row.keys) + offset, part, adapter)

    def _share_prefix(self, row: Row, slot: int) -> int:
        """Copy the longest prompt prefix of a row that some slot holds into another; return its length."""
        if not self.prefix_cache or self.model.crosses(len(row.keys) - 1, since=0):
            return 0
        lengths = [num_common(row.keys, contents) for contents in self._contents]
        # A prompt is never wholly cached: its last position has to yield logits.
        best = max(range(len(lengths)), key=lambda other: (lengths[other], other == slot))
        length = min(lengths[best], len(row.keys) - 1)
        length -= length % (self.model.block or 1)
        if length < MIN_SHARED_PREFIX:
            return 0
        if best != slot:
            self.cache.copy(best, slot, length)
        return length

    def _next_input(self, row: Row) -> torch.Tensor:
        if row.next_input is not None:
            return row.next_input
        return self.model.table.weight[row.ids[-1]]

    def _generate(self, rows: list[Row], logits: torch.Tensor) -> None:
        """Turn each row's logits [n, V] into its next token or vector."""
        groups: dict[Encoder | None, list[int]] = {}
        for index, row in enumerate(rows):
            if row.forced is not None:
                self._force(row, logits[index])
            else:
                groups.setdefault(row.encoder, []).append(index)
        for encoder, indices in groups.items():
            chosen = [rows[index] for index in indices]
            part = logits if len(indices) == len(rows) else logits[indices]
            try:
                self._answer(encoder, chosen, part)
            except (InvalidBelief, InvalidVector):
                for row, alone in zip(chosen, part, strict=True):
                    self._answer_alone(encoder, row, alone[None])

    def _force(self, row: Row, logits: torch.Tensor) -> None:
        """Note what a row believes before its next forced step, from its logits [V]."""
        try:
            check_maxima(logits[None].amax(dim=1))
        except InvalidBelief as error:
            row.fail(f"step {row.step}: {error}")
            return
        row.force(torch.log_softmax(logits.double(), dim=0).float())

    def _answer_alone(self, encoder: Encoder | None, row: Row, logits: torch.Tensor) -> None:
        """Answer one row, and end it where its logits [1, V] are no belief: its neighbours go on."""
        try:
            self._answer(encoder, [row], logits)
        except (InvalidBelief, InvalidVector) as error:
            row.fail(f"step {row.step}: {error}")

    def _answer(self, encoder: Encoder | None, rows: list[Row], logits: torch.Tensor) -> None:
        if encoder is None:
            self._say(rows, logits)
        else:
            self._encode(encoder, rows, logits)

    def _say(self, rows: list[Row], logits: torch.Tensor) -> None:
        settings = [row.request.sampling for row in rows]
        numbers = [uniform(row.request.sampling.seed, row.step) for row in rows]
        ids = sample(
            logits,
            torch.tensor([s.temperature for s in settings], dtype=torch.float32, device=logits.device),
            torch.tensor(numbers, dtype=torch.float64, device=logits.device),
            [s.top_p for s in settings],
            [s.top_k for s in settings],
        )
        for place, (row, token) in enumerate(zip(rows, ids.tolist(), strict=True)):
            if row.request.sampling.likelihood:
                row.likely.append(float(torch.log_softmax(logits[place].double(), dim=0)[token]))
            row.advance(token, self.model.stop_ids, self.model.tokenizer)

    def _encode(self, encoder: Encoder, rows: list[Row], logits: torch.Tensor) -> None:
        settings = [row.request.sampling for row in rows]
        device = logits.device
        top = min(max(s.top_beliefs for s in settings), self.model.table.num_tokens)
        state = {
            "temperature": torch.tensor([s.temperature for s in settings], dtype=torch.float32, device=device),
            "seeds": torch.tensor([s.seed for s in settings], dtype=torch.int64, device=device),
            "steps": torch.tensor([row.step for row in rows], dtype=torch.int64, device=device),
        }
        said, near = cipher_step(encoder, logits, self.model.table, **state, top=top, deferred=False)
        self._render(encoder, rows, logits, state)
        nearest = near.tolist()
        for index, row in enumerate(rows):
            k = min(row.request.sampling.top_beliefs, top)
            row.vectors.append(said.vectors[index])
            row.entropy.append(said.entropy[index])
            row.max_probability.append(said.max_probability[index])
            row.top_ids.append(said.top_ids[index, :k])
            row.top_probabilities.append(said.top_probabilities[index, :k])
            row.next_input = said.vectors[index]
            row.advance(nearest[index], self.model.stop_ids, self.model.tokenizer)

    def _render(self, encoder: Encoder, rows: list[Row], logits: torch.Tensor, state: dict[str, torch.Tensor]) -> None:
        """Render a step for those that hear the rows on tables of their own."""
        for hearer in dict.fromkeys(hearer for row in rows for hearer in row.request.hearers):
            places = [place for place, row in enumerate(rows) if hearer in row.request.hearers]
            theirs = {name: values[places] for name, values in state.items()}
            vectors = hearer.render(encoder, logits[places], **theirs, on=self._table_of)
            for place, vector in zip(places, vectors, strict=True):
                rows[place].rendered.setdefault(hearer.name, []).append(vector)

    def _table_of(self, hearer: HearingTable) -> EmbeddingTable:
        """Return a hearer's table on this model's device, copied there once."""
        if hearer.table.weight.device == self.model.device:
            return hearer.table
        if hearer.model.table not in self._tables:
            self._tables[hearer.model.table] = EmbeddingTable(hearer.table.weight.to(self.model.device))
        return self._tables[hearer.model.table]

    def _remove_finished(self) -> list[Row]:
        """Take ended rows out; the last running row moves into the hole, so that slots stay 0 … n−1."""
        ended = [row for row in self.running if row.finish is not None]
        ended += take_ended(self.waiting)
        for row in ended:
            if row.slot < 0:
                continue
            last = self.running.pop()
            if last is row:
                continue
            hole = row.slot
            self.running[hole] = last
            if last.finish is None:
                # Everything but the input that is still to be fed is in the cache.
                self.cache.copy(last.slot, hole, last.position)
                self._contents[hole] = self._contents[last.slot]
            last.slot = hole
        return ended


def _room(request: Request, choices: list[list[int]]) -> int:
    """Return how many positions a request needs behind its prompt."""
    return max(map(len, choices)) if choices else request.sampling.max_tokens


def rows_in(engine: Engine) -> Iterable[Row]:
    """Return every row that has not ended."""
    return [*engine.running, *engine.waiting, *engine.apart.rows]
