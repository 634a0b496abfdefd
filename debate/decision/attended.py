"""A decision by one attention head over messages: whose message it selects, how much it attends to each, and by what margin.

The head is trained beforehand (`debate train in_context:selection`). Its tokens are what agents believe about the options, its
query the mean of them; its margin is how far its weights are from selecting another message (Tarzanagh et al., 2023).
"""

import os
from pathlib import Path

import torch

from agents.errors import ConfigError
from agents.models.in_context.selection import attention, load_head, margins
from debate.decision.decision import Decision, Decode, Poll, Rule
from debate.decision.option_reading import read_options


def attended(*, head: str = "", decode: Decode | None = None) -> Rule:
    """The option of the attention-weighted mean belief; the reason has each message's weight and the margin of the selection.

    Args:
        head: `head.json`, or the folder that it lies in, of `debate train in_context:selection`.
        decode: token of a model → its text.

    Raises:
        ConfigError: no head, or no tokenizer.
        ModelError: the file is no head.
    """
    if not head:
        raise ConfigError(
            'decision attended needs a trained head: attended(head="FOLDER"); `debate train in_context:selection` makes one'
        )
    if decode is None:
        raise ConfigError("decision attended reads tokens, and needs the engines' tokenizers: use it in a config")
    read = decode
    options, w = load_head(Path(os.path.expanduser(head)))

    def rule(poll: Poll) -> Decision:
        rows: dict[str, list[float]] = {}
        for name in poll.voters:
            found = read_options(poll.last_message(name), options, read)
            if found is not None:
                rows[name] = [found.probabilities.get(option, 0.0) for option in options]
            elif (answer := poll.answers[name]) in options:
                rows[name] = [float(option == answer) for option in options]
        if not rows:
            return poll.decide(None, f"nobody's message holds a belief over the options {' '.join(options)}")
        x = torch.tensor([list(rows.values())], dtype=torch.float64)
        weights = attention(x, w, x.mean(1))[0]
        mean = (weights[:, None] * x[0]).sum(0).tolist()
        heard = ", ".join(f"{name} {weight:.2f}" for name, weight in zip(rows, weights.tolist(), strict=True))
        margin = f", margin {float(margins(x, w, x.mean(1))[0]):.3f}" if len(rows) > 1 else ""
        chosen = list(rows)[int(weights.argmax())]
        votes = {option: p for option, p in zip(options, mean, strict=True) if p > 0}
        return poll.elect(
            votes, lambda most: f"a belief of {most:.3f}, attended to: {heard}; {chosen} selected{margin}"
        )

    return rule
