"""`debate bench packing`: texts of different lengths read padded, one by one, and as one packed row.

Operations are counted by torch (matrix products and attention, as it sees them); time is CPU time of this process, arms in
turn. What each arm gives is compared at every text's last token before anything is timed.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from agents.atomic_file import write_json
from agents.attention.packing import encode_packed
from agents.errors import DebateError

Arm = Callable[[], torch.Tensor]
VOCABULARY, WIDTH, LAYERS, HEADS = 512, 256, 4, 4
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Counted:
    """What an arm does for all texts.

    Attributes:
        positions: that go through the linear maps.
        linear, attention: operations of matrix products in maps, and of attention's own.
    """

    positions: int
    linear: int
    attention: int


def drawn(texts: int, shortest: int, longest: int, seed: int = 0) -> list[list[int]]:
    """Return texts of token numbers, their lengths drawn evenly between two, the longest among them."""
    draw = torch.Generator().manual_seed(seed)
    lengths = torch.randint(shortest, longest + 1, (texts,), generator=draw).tolist()
    lengths[0] = longest
    return [torch.randint(3, VOCABULARY, (length,), generator=draw).tolist() for length in lengths]


def padded(texts: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return token numbers [B, T], padded on the right, and which are there [B, T]."""
    longest = max(map(len, texts))
    ids = torch.tensor([[*text, *[0] * (longest - len(text))] for text in texts])
    return ids, torch.arange(longest) < torch.tensor([len(text) for text in texts])[:, None]


def encoder_arms(texts: list[list[int]]) -> dict[str, Arm]:
    """Return the arms of a random BERT: the mean over the tokens that are there, [texts, D]."""
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    body = BertModel(
        BertConfig(
            vocab_size=VOCABULARY, hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
            intermediate_size=4 * WIDTH, max_position_embeddings=512,
        ),
        add_pooling_layer=False,
    ).eval()  # fmt: skip
    ids, there = padded(texts)

    def with_padding() -> torch.Tensor:
        states = body(input_ids=ids, attention_mask=there.long()).last_hidden_state
        means: torch.Tensor = (states * there[..., None]).sum(1) / there.sum(1, keepdim=True)
        return means

    return {
        "padded": with_padding,
        "one by one": lambda: torch.stack(
            [body(input_ids=torch.tensor([text])).last_hidden_state[0].mean(0) for text in texts]
        ),
        "packed": lambda: torch.stack([states.mean(0) for states in encode_packed(body, texts)]),
    }


def prompt_arms(texts: list[list[int]]) -> dict[str, Arm]:
    """Return the arms of a random Llama in the engine: the logits after each prompt, [texts, V]."""
    from transformers import LlamaConfig, LlamaForCausalLM

    from agents.backends.transformers.cache import SlotCache
    from agents.backends.transformers.decoder import Decoder, Mode

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        intermediate_size=4 * WIDTH, max_position_embeddings=1024,
    )  # fmt: skip
    mode = Mode("by_row")
    model = LlamaForCausalLM(config).eval()
    model.set_attn_implementation(mode.attention)
    decoder = Decoder(model, mode, torch.device("cpu"), 64)
    table = model.get_input_embeddings().weight.detach()
    ids, there = padded(texts)
    last = there.sum(1) - 1
    longest = max(map(len, texts))

    def fresh() -> SlotCache:
        cache = decoder.new_cache()
        cache.reserve(len(texts), longest)
        return cache

    def with_padding() -> torch.Tensor:
        # Causal, so that padding on the right is seen by nobody whose result is looked at; the head is for the last tokens alone.
        states = model.model(inputs_embeds=table[ids], use_cache=False).last_hidden_state
        logits: torch.Tensor = model.lm_head(states[torch.arange(len(texts)), last])
        return logits

    def one_by_one() -> torch.Tensor:
        cache = fresh()
        return torch.stack(
            [decoder.prefill(cache, slot, 0, table[torch.tensor(text)]) for slot, text in enumerate(texts)]
        )

    return {
        "padded": with_padding,
        "one by one": one_by_one,
        "packed": lambda: decoder.prefill_packed(
            fresh(), [(slot, 0, table[torch.tensor(text)]) for slot, text in enumerate(texts)]
        ),
    }


def counted(arm: Arm, positions: int) -> Counted:
    """Return the operations of an arm as torch counts them.

    Attention is computed by plain products meanwhile, which are the batched ones; a causal one counts as a whole square.
    """
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        arm()
    by_operator: dict[Any, int] = counter.get_flop_counts()["Global"]
    attention = sum(count for operator, count in by_operator.items() if "bmm" in str(operator))
    return Counted(positions, sum(by_operator.values()) - attention, attention)


@torch.inference_mode()
def bench_packing(
    *, texts: int, shortest: int, longest: int, rounds: int, out: Path | None, console: Console
) -> dict[str, Any]:
    """Compare, count and time the arms of an encoder and of a causal model; print the table and return the figures.

    Raises:
        DebateError: arms give other results, so that their times mean nothing.
    """
    given = drawn(texts, shortest, longest)
    tokens, area = sum(map(len, given)), texts * longest
    report: dict[str, Any] = {"texts": texts, "tokens": tokens, "fill": tokens / area, "models": {}}
    console.print(
        f"{texts} texts of {shortest} to {longest} tokens: {tokens:,} of {area:,} positions are no padding ({tokens / area:.0%})"
    )
    table = Table(box=None, pad_edge=False)
    for column in ("model", "arm", "positions", "linear", "attention", "CPU time", "off by"):
        table.add_column(column, justify="left" if column in ("model", "arm") else "right")
    for name, arms in (("encoder", encoder_arms(given)), ("prompts", prompt_arms(given))):
        right = arms["padded"]()
        errors = {arm: float((run() - right).abs().max() / right.std()) for arm, run in arms.items()}
        if max(errors.values()) > TOLERANCE:
            raise DebateError(f"{name}: the arms do not give the same results; off by {errors}")
        times = timed(arms, rounds)
        counts = {arm: counted(run, area if arm == "padded" else tokens) for arm, run in arms.items()}
        whole = counts["padded"]
        lines = {}
        for arm, count in counts.items():
            ratios = [one / other for one, other in zip(times[arm], times["padded"], strict=True)]
            middle, low, high = statistics.median(ratios), min(ratios), max(ratios)
            shares = count.linear / whole.linear, count.attention / whole.attention if whole.attention else float("nan")
            table.add_row(
                name, arm, f"{count.positions:,}", f"{shares[0]:.3f}", f"{shares[1]:.3f}",
                f"{middle:.2f} ({low:.2f} to {high:.2f})", f"{errors[arm]:.1e}",
            )  # fmt: skip
            lines[arm] = {
                **vars(count),
                "linear_share": shares[0],
                "ratios": ratios,
                "seconds": times[arm],
                "error": errors[arm],
            }
        report["models"][name] = lines
    console.print(
        "operations and CPU time as shares of the padded arm's; median of rounds (lowest to highest); errors in spreads",
        markup=False,
    )
    console.print(table, markup=False)
    if out is not None:
        write_json(out, report)
    return report


def timed(arms: Mapping[str, Arm], rounds: int) -> dict[str, list[float]]:
    """Return the CPU seconds of each arm in each round, after one round that is not counted; arms take turns."""
    found: dict[str, list[float]] = {arm: [] for arm in arms}
    for number in range(rounds + 1):
        for arm, run in arms.items():
            begun = time.process_time()
            run()
            if number:
                found[arm].append(time.process_time() - begun)
    return found
