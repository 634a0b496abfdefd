"""Which replica a turn goes to, and what happens when one is gone; without Ray."""

import asyncio

import pytest

from agents.backend import Prompt, Request, Sampling
from agents.backends.mock import MockBackend
from agents.backends.simulated import SimulatedBackend
from agents.errors import BackendFailed
from agents.supervision.replicas import AFFINITY_TOKENS, Replicas
from agents.supervision.supervised import Gate, Supervised


def pool(count=2, **options):
    slow = {"decode_tokens_per_s": 1, **options}
    return Replicas("m", [Supervised(f"m#{n}", lambda: SimulatedBackend(**slow)) for n in range(count)], patience_s=0.3)


def asking(tokens):
    return Request(Prompt.of("?"), Sampling(max_tokens=tokens))


def test_turns_go_to_the_least_busy_engine_counted_in_tokens_not_in_requests(run):
    async def play():
        replicas = pool()
        one, two = replicas.engines
        one.submit(asking(1000))
        for _ in range(3):
            two.submit(asking(10))
        assert await replicas.engine_for("a new debate") is two
        assert (one.outstanding_tokens, two.outstanding_tokens) == (1000, 30)

    run(play())


def test_a_debate_stays_with_its_engine_until_that_is_much_busier(run):
    async def play():
        replicas = pool()
        home = await replicas.engine_for("q")
        home.submit(asking(AFFINITY_TOKENS // 2))
        assert await replicas.engine_for("q") is home
        assert await replicas.engine_for("another") is not home
        home.submit(asking(AFFINITY_TOKENS))
        moved = await replicas.engine_for("q")
        assert moved is not home
        # And there it stays, now that the prefix is there.
        moved.submit(asking(AFFINITY_TOKENS))
        assert await replicas.engine_for("q") is moved

    run(play())


def test_tokens_are_given_back_when_a_request_ends(run):
    async def play():
        replicas = pool(decode_tokens_per_s=0)
        await replicas.submit(asking(50))
        await asyncio.sleep(0)
        assert [engine.outstanding_tokens for engine in replicas.engines] == [0, 0]

    run(play())


def test_a_debate_leaves_an_engine_that_is_gone_and_all_gone_is_said_after_the_patience(run):
    starts = []

    def start():
        starts.append(1)
        if len(starts) > 2:
            raise BackendFailed("the machine is on fire")
        return SimulatedBackend()

    async def play():
        replicas = Replicas("m", [Supervised(f"m#{n}", start) for n in range(2)], patience_s=0.3)
        home = await replicas.engine_for("q")
        await replicas.mend(home, home.starts)
        other = await replicas.engine_for("q")
        assert other is not home
        await replicas.mend(other, other.starts)
        with pytest.raises(BackendFailed, match=r"no engine of m is left, .* within 0\.3 s .*the machine is on fire"):
            await replicas.engine_for("q")
        await replicas.close()

    run(play())


def test_an_engine_that_comes_back_is_used_again(run):
    async def play():
        replicas = Replicas("m", [Supervised("m#0", SimulatedBackend)], patience_s=5)
        engine = replicas.engines[0]
        seen = engine.starts
        await asyncio.gather(*(replicas.mend(engine, seen) for _ in range(5)))
        assert await replicas.engine_for("q") is engine
        assert engine.starts == 2
        # Who failed with the engine before it was replaced asks once more: nothing is to be done.
        await replicas.mend(engine, seen)
        assert engine.is_ready

    run(play())


def test_replicas_of_different_models_are_refused():
    engines = [Supervised("m#0", lambda: MockBackend(seed=0)), Supervised("m#1", lambda: MockBackend(seed=1))]
    with pytest.raises(BackendFailed, match=r"m#1 is .*, and m#0 is"):
        Replicas("m", engines)


def test_a_gate_never_lets_more_in_than_it_may(run):
    async def play():
        gate, most = Gate(most=2), 0

        async def visit():
            nonlocal most
            async with gate.entered(alone=False):
                most = max(most, gate.running)
                await asyncio.sleep(0)

        await asyncio.gather(*(visit() for _ in range(10)))
        assert most == 2

    run(play())
