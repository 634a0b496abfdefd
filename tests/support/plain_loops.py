"""What tests share: driving the engine, and the method written as plainly as it can be, on its own."""

import torch

from agents.beliefs.cards import is_belief_backend
from debate.config.load import load_config

ARCHITECTURES = ("llama", "qwen3", "mistral-window", "gemma3-scaled-sliding", "gemma2-softcap", "gpt2-absolute")


def generate(engine, requests):
    """Run requests to their end in the synchronous engine and return their generations in order."""
    rows = [engine.prepare(request) for request in requests]
    for row in rows:
        engine.add(row)
    while not engine.is_idle:
        engine.step()
    return [row.generation(engine.model.fingerprint, engine.model.tokenizer) for row in rows]


def on_mock(path):
    """Return a shipped config with every language model replaced by the mock backend."""
    config = load_config(path, ["backend=mock", "model=mock"])
    own = {"backend": None, "model": None, "options": {}}
    agents = {
        name: agent if agent.backend is not None and is_belief_backend(agent.backend) else agent.model_copy(update=own)
        for name, agent in config.agents.items()
    }
    return config.model_copy(update={"agents": agents})


@torch.inference_mode()
def plain_cipher_loop(model, ids, temperature, steps, stop_ids=frozenset()):
    """CIPHER without a cache: the whole sequence goes through the model again at every step."""
    embed = model.get_input_embeddings()
    table = embed(torch.arange(embed.num_embeddings))
    exact = table.double()
    directions = torch.nn.functional.normalize(exact, dim=1)
    x, vectors, nearest = embed(torch.tensor(ids))[None], [], []
    for _ in range(steps):
        logits = model(inputs_embeds=x, use_cache=False).logits[0, -1]
        e = torch.softmax(logits.double() / temperature, 0) @ exact
        v = int((directions @ e).argmax())
        if v in stop_ids:
            break
        vectors, nearest, x = [*vectors, e], [*nearest, v], torch.cat([x, e.to(x.dtype)[None, None]], 1)
    return torch.stack(vectors), nearest


def say(backend, requests):
    """Submit requests at once to a backend that outlives the event loop, and return their generations."""
    import asyncio

    async def play():
        return [await pending for pending in [backend.submit(request) for request in requests]]

    return asyncio.run(play())
