"""How often a step as a GPU takes it waits for the device; test_waits.py runs these in a process of their own.

Tensors lie on the CPU, and the kernels run through Triton's interpreter. What is counted would make the processor wait for a GPU
(a value that is looked at, a mask whose size has to be known) or is a copy to it.
"""

import sys
from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from agents.backends.vllm.directive import Directive
from agents.backends.vllm.draw import Draw, Drawer
from agents.backends.vllm.later import LaterCheck
from agents.backends.vllm.speaker import Speaker, WholeTable
from agents.backends.vllm.speaking import Place, SpeakingRunner
from agents.backends.vllm.staged import Staged
from agents.errors import BackendFailed
from kernels import EmbeddingTable, encoders, gpu, native

# The interpreter computes with numpy, which warns of infinities that the kernels select away.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
V, D = 150, 24
# dirichlet draws by rejection, and looks after each attempt whose turn it still is.
NEVER_LOOK = sorted(set(encoders.names()) - {"dirichlet"})
LOOKS = ("tolist", "item", "__bool__", "__int__", "__float__", "__index__", "numpy", "nonzero", "cpu")
LOOKING = ("_local_scalar_dense", "nonzero", "_unique", "masked_select", "aten.equal", "is_nonzero")


class Counted(TorchDispatchMode):
    """Looks at values, and copies to the device, but for those of the interpreter itself."""

    def __init__(self, patch):
        super().__init__()
        self.looks, self.copies, self.casts = Counter(), 0, 0
        for name in LOOKS:
            patch.setattr(torch.Tensor, name, self._counting(name, getattr(torch.Tensor, name)))
        for holder, name in ((torch, "tensor"), (torch, "as_tensor"), (Staged, "send")):
            patch.setattr(holder, name, self._copying(getattr(holder, name)))

    def _counting(self, name, method):
        def counted(tensor, *given, **settings):
            if not _is_the_interpreters():
                self.looks[name] += 1
            return method(tensor, *given, **settings)

        return counted

    def _copying(self, function):
        def counted(first, *given, **settings):
            if not isinstance(first, torch.Tensor) and not _is_the_interpreters():
                self.copies += 1
            return function(first, *given, **settings)

        return counted

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if _is_the_interpreters():
            return result
        name = str(function)
        if any(part in name for part in LOOKING):
            self.looks[name] += 1
        indices = args[1] if name.startswith(("aten.index.", "aten.index_put")) else ()
        if any(index is not None and index.dtype == torch.bool for index in indices):
            self.looks["a mask as an index"] += 1
        # The table itself, copied or in another type.
        if isinstance(result, torch.Tensor) and result.shape == (V, D):
            self.casts += not any(part in name for part in ("alias", "detach", "view"))
        return result


def _is_the_interpreters():
    frame = sys._getframe(1)
    while frame is not None:
        if "triton/runtime" in frame.f_code.co_filename:
            return True
        frame = frame.f_back
    return False


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    monkeypatch.setattr(gpu, "refusal", lambda asked, *tensors: None)
    monkeypatch.setattr(native, "refusal", lambda *tensors: "no CPU")
    monkeypatch.setattr(LaterCheck, "checked", lambda self, logits, result: result)
    return monkeypatch


def table():
    return EmbeddingTable(torch.randn(V, D, generator=torch.Generator().manual_seed(0)).bfloat16())


def runner(spoken, drawn, encoder_of):
    """Who speaks and draws in a worker, with requests under way."""
    made = SpeakingRunner()
    made.vocabulary = WholeTable(table())
    made.speaker = Speaker(made.vocabulary, torch.device("cpu"), num_tokens=V)
    made.drawer = Drawer(deferred=True)
    for row in range(spoken):
        directive = Directive(encoder_of(row), f"s{row}", temperature=0.7 if row else 0.0, seed=row, beliefs=8)
        made.speaker.begin(f"s{row}", directive, temperature=0.0, seed=0, prompt_length=5)
    for row in range(drawn):
        made.drawer.begin(f"d{row}", Draw(0.8, row, top_p=0.9 if row % 2 else None).extra_args(), 5)
    return made


def know_neighbours(table):
    """What `EmbeddingTable.prepare` finds on a GPU, so that some tokens are proven and not searched for."""
    unit = torch.nn.functional.normalize(table.weight.double(), dim=1)
    table.neighbour_cosines.copy_((unit @ unit.T).fill_diagonal_(-2).amax(dim=1))
    object.__setattr__(table, "knows_neighbours", True)


def step(made, number, spoken, drawn):
    rows = spoken + drawn
    logits = 3 * torch.randn(rows, V, generator=torch.Generator().manual_seed(number))
    if number and spoken:
        places = [(f"s{row}", number - 1) for row in range(spoken)]
        made.speaker.fill(torch.zeros(rows, D, dtype=torch.bfloat16), places, list(range(spoken)))
    # Text stands before vectors, so that rows have to be picked.
    saying = [Place(drawn + row, f"s{row}", 5 + number) for row in range(spoken)]
    drawing = [Place(row, f"d{row}", 5 + number) for row in range(drawn)]
    return made._tokens(logits, saying, drawing, [0.5] * rows)


@pytest.mark.parametrize("rows", [(3, 0), (16, 0), (0, 4), (0, 16), (12, 3)])
def test_a_step_waits_for_nothing_and_copies_twice_at_most_whatever_the_batch(as_on_a_gpu, rows):
    made = runner(*rows, encoder_of=lambda row: NEVER_LOOK[row % len(NEVER_LOOK)])
    if all(rows):
        know_neighbours(made.vocabulary._table)
    with torch.inference_mode():
        step(made, 0, *rows)
        counted = Counted(as_on_a_gpu)
        with counted:
            step(made, 1, *rows)
    assert not counted.looks
    assert counted.copies <= 2
    assert counted.casts == 0


def test_a_step_that_leaves_tokens_out_waits_for_nothing_either(as_on_a_gpu):
    as_on_a_gpu.setenv("CIPHER_DEBATE_GPU_SPARSE", "1")
    made = runner(16, 0, encoder_of=lambda row: "expectation")
    with torch.inference_mode():
        step(made, 0, 16, 0)
        assert "low_rank" in vars(made.vocabulary._table), "nothing stands in: the test tests nothing"
        counted = Counted(as_on_a_gpu)
        with counted:
            step(made, 1, 16, 0)
    assert not counted.looks
    assert counted.copies <= 2
    assert counted.casts == 0


@pytest.mark.parametrize("encoder", sorted(encoders.names()))
def test_it_says_what_the_definition_says(as_on_a_gpu, encoder):
    made = runner(4, 0, encoder_of=lambda row: encoder)
    with torch.inference_mode():
        for number in range(2):
            _, tokens = step(made, number, 4, 0)
    logits = 1.5 * torch.randn(4, V, generator=torch.Generator().manual_seed(1))
    wanted = encoders.parse(encoder).encode(
        logits,
        table(),
        temperature=torch.tensor([0.0, 0.7, 0.7, 0.7]),
        seeds=torch.arange(4),
        steps=torch.ones(4, dtype=torch.int64),
        top=8,
        impl="reference",
    )
    for row in range(4):
        taken = made.speaker.take(f"s{row}", 2)
        assert int(taken["nearest"][1]) == int(tokens[row])
        torch.testing.assert_close(taken["vectors"][1].float(), wanted.vectors[row].float(), rtol=2**-7, atol=2e-3)
        torch.testing.assert_close(taken["entropy"][1], wanted.entropy[row], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(taken["max_probability"][1], wanted.max_probability[row], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(taken["top_probabilities"][1], wanted.top_probabilities[row], rtol=1e-3, atol=1e-5)
        likely = wanted.top_probabilities[row] > 0
        assert torch.equal(taken["top_ids"][1][likely], wanted.top_ids[row][likely])


@pytest.mark.parametrize("encoder", ["expectation", "topk(k=5)"])
@pytest.mark.parametrize(
    ("bad", "said"), [(float("nan"), "NaN"), (float("inf"), "inf"), (float("-inf"), "nothing but")]
)
def test_logits_that_are_no_belief_are_told_when_the_message_is_fetched(as_on_a_gpu, encoder, bad, said):
    made, alone = (runner(2, 0, encoder_of=lambda row: encoder) for _ in "12")
    logits = 3 * torch.randn(2, V, generator=torch.Generator().manual_seed(0))
    alone.speaker.say(logits, ["s0", "s1"], [0, 0])
    logits[0, 3 : V if said.startswith("nothing") else 4] = bad
    logits[0, :3] = bad if said.startswith("nothing") else 0.0
    tokens = made.speaker.say(logits, ["s0", "s1"], [0, 0])
    assert 0 <= int(tokens[0]) < V
    assert torch.equal(made.speaker.take("s1", 1)["vectors"], alone.speaker.take("s1", 1)["vectors"])
    with pytest.raises(BackendFailed, match=f"step 0: logits: .*{said}"):
        made.speaker.take("s0", 1)


def test_what_speaking_takes_is_rehearsed_where_vllm_measures_memory(as_on_a_gpu):
    from types import SimpleNamespace

    profiled = []

    class Runner(SpeakingRunner, SimpleNamespace):
        def _make(self):
            self.vocabulary, self.device = WholeTable(table()), torch.device("cpu")
            self.speaker = Speaker(self.vocabulary, self.device, num_tokens=V)
            self.drawer = Drawer(deferred=True)
            self.model_config = SimpleNamespace(get_vocab_size=lambda: V)
            self.scheduler_config = SimpleNamespace(max_num_seqs=2)

    class Profiled:
        def profile_run(self):
            profiled.append("the model")

    made = type("Made", (Runner, Profiled), {})()
    made._make()
    as_on_a_gpu.setattr(EmbeddingTable, "prepare", lambda self: profiled.append("the table"))
    before = made.speaker.store.bytes_held
    made.profile_run()
    # First what stays, then the model's own pass on top of it, then a step.
    assert profiled == ["the table", "the model"]
    assert made.speaker.store.blocks_lent == 0
    assert made.speaker.store.bytes_held >= before
    assert not made.speaker
    assert not made.drawer
