"""What the worker keeps and says, without vLLM."""

import pytest
import torch

from agents.backends.vllm.directive import MAX_BELIEFS, Directive, read
from agents.backends.vllm.shards import ShardedTable
from agents.backends.vllm.speaker import MAX_UNCLAIMED, Speaker, WholeTable
from agents.backends.vllm.store import INITIAL_BLOCKS, ROWS_PER_BLOCK
from agents.errors import BackendFailed, RequestError
from kernels import EmbeddingTable
from kernels.encoders import names, parse

V, D = 40, 8


def table(seed=0):
    return EmbeddingTable(torch.randn(V, D, generator=torch.Generator().manual_seed(seed)))


def speaker():
    return Speaker(WholeTable(table()), torch.device("cpu"), num_tokens=V)


def begin(one, request, key=None, encoder="expectation", **settings):
    one.begin(request, Directive(encoder, key or request, **settings), temperature=0.7, seed=3, prompt_length=5)


def logits(*seeds):
    return torch.stack([3 * torch.randn(V, generator=torch.Generator().manual_seed(seed)) for seed in seeds])


def kept(one, places):
    return one.store.vectors_in(torch.tensor(one.store.rows_of(places)))


def test_what_is_said_is_what_the_encoder_says_and_is_fed_back_at_its_position():
    one = speaker()
    begin(one, "a")
    begin(one, "b", encoder="topk(k=3)", temperature=0.2, beliefs=2)
    z = logits(1, 2)
    nearest = one.say(z, ["a", "b"], [0, 0])
    for row, (encoder, temperature) in enumerate([("expectation", 0.7), ("topk(k=3)", 0.2)]):
        said = parse(encoder).encode(
            z[row : row + 1],
            table(),
            temperature=torch.tensor([temperature]),
            seeds=torch.tensor([3]),
            steps=torch.tensor([0]),
        )
        assert torch.equal(kept(one, [("ab"[row], 0)]), said.vectors)
    assert one.kept("a", 3, 2) == []
    assert one.kept("a", 3, 4) == [("a", 0, 2), ("a", 1, 3)]
    assert one.kept("a", 5, 1) == [("a", 0, 0)]
    assert one.step_at("a", 5) == 0
    inputs = torch.zeros(3, D)
    one.fill(inputs, [("b", 0), ("a", 0)], [2, 0])
    assert torch.equal(inputs[0], kept(one, [("a", 0)])[0])
    assert torch.equal(inputs[2], kept(one, [("b", 0)])[0])
    assert not inputs[1].any()
    taken = one.take("b", 1)
    assert taken["top_ids"].shape == (1, 2)
    assert taken["nearest"].tolist() == [int(nearest[1])]


def test_a_row_does_not_depend_on_its_batch():
    for encoder in names():
        alone, together = speaker(), speaker()
        for one in (alone, together):
            begin(one, "a", encoder=encoder)
            begin(one, "b", encoder="expectation")
        alone.say(logits(1), ["a"], [0])
        together.say(logits(5, 1), ["b", "a"], [0, 0])
        assert torch.equal(alone.take("a", 1)["vectors"], together.take("a", 1)["vectors"])


def test_a_step_that_is_said_again_replaces_what_it_was():
    one = speaker()
    begin(one, "a")
    for step, seed in enumerate([1, 2, 3]):
        one.say(logits(seed), ["a"], [step])
    one.say(logits(9), ["a"], [1])
    other = speaker()
    begin(other, "a")
    for step, seed in enumerate([1, 9, 3]):
        other.say(logits(seed), ["a"], [step])
    assert torch.equal(one.take("a", 3)["vectors"], other.take("a", 3)["vectors"])


def test_the_store_grows_and_shrinks_back_and_lends_only_what_is_said():
    one = speaker()
    before = one.store.bytes_held
    steps = (INITIAL_BLOCKS + 3) * ROWS_PER_BLOCK
    begin(one, "long")
    begin(one, "short")
    one.say(logits(0), ["short"], [0])
    kept = one.take("short", 1)
    begin(one, "short2")
    for step in range(steps):
        one.say(logits(step), ["long"], [step])
    assert one.store.blocks_lent == INITIAL_BLOCKS + 3
    assert one.store.bytes_held > before
    expected = WholeTable(table()).encode(
        parse("expectation"), logits(steps - 1), torch.tensor([0.7]), torch.tensor([3]), torch.tensor([0]), 1
    )[0]
    assert torch.equal(one.take("long", steps)["vectors"][-1:], expected.vectors)
    assert kept["vectors"].shape == (1, D)
    assert (one.store.bytes_held, one.store.blocks_lent) == (before, 0)


def test_ended_before_or_after_it_is_asked_for_and_never_asked_for():
    one = speaker()
    begin(one, "a")
    one.say(logits(1), ["a"], [0])
    one.end("a")
    assert "a" not in one
    assert len(one.take("a", 1)["vectors"]) == 1
    begin(one, "b")
    one.say(logits(1), ["b"], [0])
    one.take("b", 1)
    one.end("b")
    with pytest.raises(BackendFailed, match="nothing is kept under the key 'b'"):
        one.take("b", 1)
    for number in range(MAX_UNCLAIMED + 5):
        begin(one, f"r{number}")
        one.say(logits(1), [f"r{number}"], [0])
        one.end(f"r{number}")
    assert one.store.blocks_lent == MAX_UNCLAIMED
    for number in range(MAX_UNCLAIMED + 5):
        one.drop(f"r{number}")
    assert one.store.blocks_lent == 0


@pytest.mark.parametrize("leave", ["take", "drop"])
def test_a_request_that_the_engine_still_holds_when_its_client_has_left_is_text_to_the_engine(leave):
    one = speaker()
    begin(one, "a")
    one.say(logits(1), ["a"], [0])
    one.take("a", 1) if leave == "take" else one.drop("a")
    # The runners ask this before a step: it neither hears its vectors nor speaks any more.
    assert "a" not in one
    assert not one
    one.end("a")
    assert one.store.blocks_lent == 0
    begin(one, "b")
    one.say(logits(1), ["b"], [0])
    assert len(one.take("b", 1)["vectors"]) == 1


def test_several_requests_of_one_key_are_told_apart_by_number():
    one = speaker()
    for number in (10, 2, 0):
        begin(one, f"{number}_x", key="x")
        one.say(logits(number), [f"{number}_x"], [0])
    other = speaker()
    begin(other, "y")
    other.say(logits(2), ["y"], [0])
    assert torch.equal(one.take("x", 1, 1)["vectors"], other.take("y", 1)["vectors"])


@pytest.mark.parametrize("bad", [float("nan"), float("-inf"), float("inf")])
def test_logits_that_are_no_belief_fail_their_own_row_only(bad):
    one, alone = speaker(), speaker()
    for request in "ab":
        begin(one, request)
    begin(alone, "b")
    z = logits(1, 2)
    z[0] = bad
    one.say(z, ["a", "b"], [0, 0])
    alone.say(z[1:], ["b"], [0])
    assert torch.equal(one.take("b", 1)["vectors"], alone.take("b", 1)["vectors"])
    with pytest.raises(BackendFailed, match="step 0"):
        one.take("a", 1)
    assert one.store.blocks_lent == 0


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("expectation", "must be a mapping, got str"),
        ({"encoder": "expectation"}, "needs an `encoder` and a `key`"),
        ({"encoder": "expectatoin", "key": "k"}, "Did you mean 'expectation'"),
        ({"encoder": "expectation", "key": "k", "temprature": 1}, "unknown key 'temprature'"),
        ({"encoder": "expectation", "key": "k", "temperature": float("nan")}, "finite and at least 0"),
        ({"encoder": "expectation", "key": "k", "beliefs": MAX_BELIEFS + 1}, "beliefs must be 0 to"),
        ({"encoder": "expectation", "key": "k", "seed": -1}, "seed must be"),
    ],
)
def test_a_directive_that_cannot_be_followed_says_why(given, sentence):
    with pytest.raises(RequestError, match=sentence):
        read({"cipher": given})


def test_a_directive_travels_as_plain_values():
    directive = Directive("topk(k=3)", "key", temperature=0.5, seed=2**62, beliefs=4)
    assert read(directive.extra_args()) == directive
    assert read(None) is None
    assert read({"other": 1}) is None


class Ranks:
    """Ranks of one process: they take turns, and each call is answered once every rank has made it."""

    def __init__(self, number):
        import threading

        self.barrier, self.number, self.given = threading.Barrier(number), number, [None] * number

    def of(self, rank):
        ranks = self

        class Group:
            world_size = ranks.number

            def _exchange(self, tensor):
                ranks.given[rank] = tensor
                ranks.barrier.wait()
                found = list(ranks.given)
                ranks.barrier.wait()
                return found

            def all_reduce(self, tensor):
                return sum(self._exchange(tensor))

            def all_gather(self, tensor, dim):
                return torch.cat(self._exchange(tensor), dim)

        return Group()


@pytest.mark.parametrize("number", [2, 3, 8])
@pytest.mark.parametrize("encoder", sorted(names()))
def test_shards_of_a_vocabulary_say_what_the_whole_says(number, encoder):
    from concurrent.futures import ThreadPoolExecutor

    weight = table().weight
    # The last ranks of a small vocabulary may hold nothing.
    size = -(-V // number) + (1 if number == 8 else 0)
    ranks = Ranks(number)
    asked = (
        parse(encoder),
        logits(1, 2, 3),
        torch.tensor([0.7, 0.0, 2.0]),
        torch.tensor([1, 2, 3]),
        torch.arange(3),
        4,
    )

    def say(rank):
        first = min(rank * size, V)
        return ShardedTable(weight[first : first + size], first, ranks.of(rank)).encode(*asked)

    with ThreadPoolExecutor(number) as pool:
        found = list(pool.map(say, range(number)))
    whole, nearest = WholeTable(EmbeddingTable(weight)).encode(*asked)
    for said, ids in found:
        assert torch.allclose(said.vectors, whole.vectors, rtol=1e-5, atol=1e-5)
        assert torch.equal(ids, nearest)
        assert torch.equal(said.vectors, found[0][0].vectors)
        assert torch.allclose(said.entropy, whole.entropy, atol=1e-4)


def test_refused_requests_nobody_asks_for_are_forgotten_in_time():
    one = speaker()
    for number in range(MAX_UNCLAIMED + 5):
        one.refuse(f"r{number}", f"k{number}", "no such encoder")
    with pytest.raises(BackendFailed, match="nothing is kept under the key 'k4'"):
        one.take("k4", 1)
    with pytest.raises(BackendFailed, match="no such encoder"):
        one.take("k5", 1)
    with pytest.raises(BackendFailed, match="nothing is kept under the key 'k5'"):
        one.take("k5", 1)
