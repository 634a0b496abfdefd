"""`debate bench signatures`: tampered messages, all of which must be refused, and what signing costs of a turn.

A payload is a signed message file on its way to the agent that hears it at one place of one debate. It is changed as whoever is
in between could change it who knows everything but the private key: digests, headers and the canonical form are made to fit.
"""

import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from agents.atomic_file import write_json
from agents.backend import ChatTurn, Prompt, Request, Sampling
from agents.errors import MessageError
from agents.fingerprint import ModelFingerprint
from agents.message import Cipher, Message
from agents.message_file import read_signed, to_bytes
from agents.pretrained import Progress
from agents.registry import create_backend
from agents.signature import Place, Signature
from agents.signing import Receiver, SigningKey, refuse_unsigned, signed_file

AGENTS = ("ada", "ben")
ROUNDS = 3
# Of the messages that are tampered with: some of text, some of vectors.
STEPS, WIDTH, VOCABULARY, KEPT = 12, 64, 256, 8


@dataclass(frozen=True)
class Payload:
    """A signed message and where it is heard."""

    message: Message
    place: Place
    blob: bytes


class Tampering:
    """Draws payloads and changes them.

    Args:
        seed: of everything drawn but the keys, which are new each time.
    """

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(f"tampering|{seed}")
        self._torch = torch.Generator().manual_seed(seed)
        self.keys = {name: SigningKey.generate() for name in AGENTS}
        self._stranger = SigningKey.generate()
        self.kinds: Mapping[str, Callable[[Payload], tuple[bytes, Place]]] = {
            "bit": self._bit,
            "vector": self._vector,
            "header": self._header,
            "reorder": lambda sent: (sent.blob, replace(sent.place, round=sent.place.round + 1)),
            "replay": lambda sent: (sent.blob, sent.place),
            "other run": lambda sent: (sent.blob, replace(sent.place, run=f"{self._draw.getrandbits(128):032x}")),
            "other debate": lambda sent: (sent.blob, replace(sent.place, debate="text")),
            "other question": lambda sent: (sent.blob, replace(sent.place, question=f"{sent.place.question}+")),
            "other agent": self._other_agent,
            "other key": lambda sent: (signed_file(sent.message, sent.place, self._stranger), sent.place),
            "place rewritten": self._place_rewritten,
            "signature taken off": lambda sent: (to_bytes(sent.message), sent.place),
        }

    def payload(self, number: int) -> Payload:
        """Return a message that its agent signed."""
        agent = self._draw.choice(AGENTS)
        place = Place(
            f"{self._draw.getrandbits(128):032x}", "cipher", f"question-{number}", self._draw.randint(1, ROUNDS), agent
        )
        message = self._text() if self._draw.random() < 0.25 else self._cipher()
        return Payload(message, place, signed_file(message, place, self.keys[agent]))

    def receiver(self) -> Receiver:
        """Return one that knows the agents' public keys."""
        return Receiver({name: key.public for name, key in self.keys.items()})

    def _text(self) -> Message:
        ids = tuple(self._draw.randrange(VOCABULARY) for _ in range(STEPS))
        return Message(" ".join(map(str, ids)), _model(), self._draw.random(), ids)

    def _cipher(self) -> Message:
        ids = torch.randint(VOCABULARY, (STEPS,), generator=self._torch)
        beliefs = torch.rand(STEPS, KEPT, generator=self._torch).softmax(dim=1).sort(dim=1, descending=True).values
        entropy = -(beliefs * beliefs.log()).sum(dim=1)
        top = torch.randint(VOCABULARY, (STEPS, KEPT), generator=self._torch)
        vectors = torch.randn(STEPS, WIDTH, generator=self._torch)
        cipher = Cipher(vectors, ids, entropy, beliefs[:, 0].contiguous(), top, beliefs)
        return Message("what it reads as", _model(), 0.7, tuple(ids.tolist()), "expectation", cipher)

    def _bit(self, sent: Payload) -> tuple[bytes, Place]:
        place = self._draw.randrange(8 * len(sent.blob))
        changed = bytearray(sent.blob)
        changed[place // 8] ^= 1 << place % 8
        return bytes(changed), sent.place

    def _vector(self, sent: Payload) -> tuple[bytes, Place]:
        """Change a number, and make checksum and form fit; the signature is the old one."""
        message = sent.message
        if message.cipher is None:
            changed = replace(message, token_ids=(*message.token_ids[:-1], (message.token_ids[-1] + 1) % VOCABULARY))
        else:
            vectors = message.cipher.vectors.clone()
            vectors[self._draw.randrange(STEPS), self._draw.randrange(WIDTH)] += self._draw.choice((1e-4, 0.1, -10))
            changed = replace(message, cipher=replace(message.cipher, vectors=vectors))
        return to_bytes(changed, self._signature(sent)), sent.place

    def _header(self, sent: Payload) -> tuple[bytes, Place]:
        message = sent.message
        changed = self._draw.choice(
            (
                replace(message, text=f"{message.text} Answer: 4"),
                replace(message, temperature=message.temperature / 2),
                replace(message, model=replace(message.model, model="another")),
            )
        )
        return to_bytes(changed, self._signature(sent)), sent.place

    def _other_agent(self, sent: Payload) -> tuple[bytes, Place]:
        other = next(name for name in AGENTS if name != sent.place.agent)
        return sent.blob, replace(sent.place, agent=other)

    def _place_rewritten(self, sent: Payload) -> tuple[bytes, Place]:
        """Say in the header that it was signed for where it is heard now."""
        place = replace(sent.place, round=sent.place.round + 1)
        return to_bytes(sent.message, replace(self._signature(sent), place=place)), place

    def _signature(self, sent: Payload) -> Signature:
        return self.keys[sent.place.agent].sign_message(sent.message, sent.place)


def tamper(count: int, seed: int) -> tuple[Counter[str], list[str], int]:
    """Send so many payloads twice, untouched and tampered with.

    Returns:
        how many tampered ones were refused, by kind; those that were not; how many untouched ones were refused.
    """
    tampering = Tampering(seed)
    refused: Counter[str] = Counter()
    accepted: list[str] = []
    lost = 0
    for number in range(count):
        kind = list(tampering.kinds)[number % len(tampering.kinds)]
        sent, receiver = tampering.payload(number), tampering.receiver()
        blob, place = tampering.kinds[kind](sent)
        untouched = kind == "replay"
        try:
            if untouched:
                receiver.accept(sent.blob, sent.place)
            receiver.accept(blob, place)
            accepted.append(f"{kind}, payload {number}")
        except MessageError:
            refused[kind] += 1
        if untouched:
            continue
        try:
            receiver.accept(sent.blob, sent.place)
        except MessageError:
            lost += 1
    return refused, accepted, lost


async def cost(model: str, *, tokens: int, rounds: int, progress: Progress) -> dict[str, float]:
    """Return CPU seconds of a turn in CIPHER, and of signing and verifying its message, interleaved; medians."""
    key = SigningKey.generate()
    place = Place("0" * 32, "cipher", "question", 1, "ada")
    engine = create_backend("transformers", model=model, progress=progress, dtype="float32", max_num_seqs=1)
    turns, signed = [], []
    try:
        prompt = Prompt((ChatTurn("user", ("12+34*5=",)),), format="plain")
        for number in range(rounds + 1):
            sampling = Sampling(temperature=0.5, max_tokens=tokens, seed=number, top_beliefs=KEPT)
            start = time.process_time()
            generation = await engine.submit(Request(prompt, sampling, "expectation"))
            said = generation.message
            # What goes over the wire is made of it, and read again, signed or not.
            message, _ = read_signed(to_bytes(said))
            between = time.process_time()
            signature = key.sign_message(message, place)
            refuse_unsigned(message, signature, place, key.public)
            end = time.process_time()
            if number:
                turns.append(between - start)
                signed.append(end - between)
    finally:
        await engine.close()
    share = statistics.median(two / one for one, two in zip(turns, signed, strict=True))
    return {"turn_s": statistics.median(turns), "signing_s": statistics.median(signed), "share": share}


async def bench_signatures(
    *,
    model: str,
    payloads: int,
    tokens: int,
    rounds: int,
    seed: int,
    out: Path | None,
    console: Console,
    progress: Progress,
) -> dict[str, Any]:
    """Tamper, time, print both and return the figures."""
    refused, accepted, lost = tamper(payloads, seed)
    timed = await cost(model, tokens=tokens, rounds=rounds, progress=progress)
    table = Table(box=None, pad_edge=False)
    for column in ("tampered with", "refused"):
        table.add_column(column, justify="right" if column == "refused" else "left")
    for kind, count in refused.items():
        table.add_row(kind, f"{count:,}")
    console.print(table)
    console.print(
        f"{sum(refused.values()):,} of {payloads:,} tampered payloads refused; {lost} of those untouched refused\n"
        f"a turn of {model}, at most {tokens} tokens: {1e3 * timed['turn_s']:.1f} ms of CPU; signing and verifying: "
        f"{1e3 * timed['signing_s']:.3f} ms, {100 * timed['share']:.2f} % (medians of {rounds} interleaved rounds)",
        markup=False,
    )
    report = {"payloads": payloads, "refused": dict(refused), "accepted": accepted, "untouched_refused": lost, **timed}
    if out is not None:
        write_json(out, {"model": model, **report})
    return report


def _model() -> ModelFingerprint:
    return ModelFingerprint("sender", "table", "tokenizer", VOCABULARY, WIDTH)
