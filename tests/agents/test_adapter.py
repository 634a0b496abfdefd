"""LoRA adapters in the transformers backend, against the same adapters merged into the weights."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from support import zoo
from support.adapter_files import save_adapter
from support.plain_loops import generate

from agents.adapter import read_adapter
from agents.backend import Prompt, Request, Sampling
from agents.backends.mock import MockBackend
from agents.backends.transformers.engine import Engine
from agents.backends.transformers.model import LoadedModel
from agents.errors import ConfigError, RequestError
from agents.question import Question
from agents.speakers.agent import Agent

TEXT = "a beginning that every prompt shares, and that is longer than one block of positions; and then "


def load(folder, dtype="float32", rows=None):
    return LoadedModel(folder, name=folder.name, dtype=dtype, device="cpu", rows=rows)


def asked(i, adapter=None):
    sampling = Sampling(temperature=0.7, max_tokens=12, seed=i)
    return Request(Prompt.of(f"{TEXT}{i}"), sampling, None if i % 3 == 2 else "expectation", adapter)


@pytest.fixture(scope="module")
def pairs(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapters")
    return [save_adapter(folder, tiny(), seed) for seed in (1, 2)]


def test_an_adapter_is_the_merged_model(tiny, pairs):
    model = load(tiny())
    for adapter, merged in pairs:
        given = [asked(i, str(adapter)) for i in range(3)]
        wanted = generate(Engine(load(merged)), [replace(request, adapter=None) for request in given])
        plain = generate(Engine(model), [replace(request, adapter=None) for request in given])
        found = generate(Engine(model), given)
        assert [one.message.token_ids for one in found] == [one.message.token_ids for one in wanted]
        assert [one.message.token_ids for one in found] != [one.message.token_ids for one in plain]
        vectors, expected = (one[0].message.cipher.vectors for one in (found, wanted))
        assert (vectors - expected).norm() <= 1e-4 * expected.norm()


@pytest.mark.parametrize(
    ("architecture", "of", "rows"), [("opt", "fc1", 4), ("qwen2_moe", "shared_expert.up_proj", None)]
)
def test_an_adapter_of_a_layer_that_reads_all_rows_as_one_is_the_merged_model(tmp_path, architecture, of, rows):
    """Prompts, of which every position counts, and rows of other adapters beside them."""
    folder = zoo.save(architecture, tmp_path / architecture)
    saved = [save_adapter(tmp_path, folder, seed, of=of) for seed in (1, 2)]
    model = load(folder, rows=rows)
    given = [asked(i, str(saved[i % 2][0])) for i in range(4)]
    found = generate(Engine(model, max_num_seqs=4), given)
    for place, (_, merged) in enumerate(saved):
        wanted = generate(
            Engine(load(merged, rows=rows)), [replace(request, adapter=None) for request in given[place::2]]
        )
        assert [one.message.token_ids for one in found[place::2]] == [one.message.token_ids for one in wanted]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_rows_of_different_adapters_share_a_batch_bit_for_bit(tiny, pairs, dtype):
    """Also with shared prefixes: what one adapter computed is nothing to another."""
    model = load(tiny(), dtype, rows=4)
    adapters = [None, str(pairs[0][0]), str(pairs[1][0])]
    requests = [asked(i // 3, adapters[i % 3]) for i in range(9)]
    alone = [generate(Engine(model, max_num_seqs=4, prefix_cache=False), [request])[0] for request in requests]
    together = generate(Engine(model, max_num_seqs=4), requests)
    assert [one.message.digest for one in together] == [one.message.digest for one in alone]
    assert len({one.message.digest for one in together[:3]}) == 3
    assert sum(one.usage.cached_tokens for one in together) > 0


def test_an_adapter_of_another_model_is_refused(tiny, pairs, tmp_path):
    engine = Engine(load(tiny("llama-wide")))
    with pytest.raises(RequestError, match=r"is of another model: it adds \[\d+, \d+\] to model.layers"):
        engine.prepare(asked(0, str(pairs[0][0])))
    assert engine.is_idle


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"use_dora": True}, "sets use_dora"),
        ({"bias": "all"}, "sets bias: 'all'"),
        ({"modules_to_save": ["lm_head"]}, "sets modules_to_save"),
        ({"target_modules": ["embed_tokens"]}, "changes the embeddings"),
        ({"peft_type": "IA3"}, "is of type 'IA3'"),
    ],
)
def test_what_is_more_than_plain_lora_is_refused(tiny, tmp_path, change, said):
    adapter, _ = save_adapter(tmp_path, tiny(), 3, **change)
    with pytest.raises(RequestError, match=said):
        read_adapter(str(adapter))


def test_damaged_adapters_are_refused_with_a_sentence(tiny, tmp_path):
    with pytest.raises(RequestError, match="no folder with an adapter_config.json"):
        read_adapter(str(tmp_path / "nowhere"))
    adapter, _ = save_adapter(tmp_path, tiny(), 4)
    weights = load_file(adapter / "adapter_model.safetensors")
    name = next(name for name in weights if ".lora_B." in name)
    save_file({key: value for key, value in weights.items() if key != name}, adapter / "adapter_model.safetensors")
    with pytest.raises(RequestError, match="has no lora_B of its rank"):
        read_adapter(str(adapter))
    (adapter / "adapter_model.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(RequestError, match="cannot read"):
        read_adapter(str(adapter))
    (adapter / "adapter_config.json").write_text("[]")
    with pytest.raises(RequestError, match="expected a mapping"):
        read_adapter(str(adapter))


@pytest.mark.parametrize(
    ("config", "tensors", "said"),
    [
        ({"lora_alpha": "x"}, {}, "lora_alpha: x; it is a finite number"),
        ({"lora_alpha": float("nan")}, {}, "lora_alpha: nan"),
        ({"lora_alpha": 10**400}, {}, "lora_alpha: 1000"),
        ({"lora_alpha": True}, {}, "lora_alpha: True"),
        ({"target_modules": 5}, {}, None),
        ({}, {"A": torch.zeros(0, 4), "B": torch.zeros(3, 0)}, "has no lora_B of its rank"),
        ({}, {"A": torch.zeros(2), "B": torch.zeros(3, 2)}, "has no lora_B of its rank"),
        ({}, {"A": torch.full((2, 4), torch.inf)}, "no finite number"),
        ({}, {"B": torch.full((3, 2), torch.nan)}, "no finite number"),
        ({}, {"A": torch.zeros(2, 4, dtype=torch.int8)}, "no finite number"),
    ],
)
def test_an_adapter_of_lies_is_refused_with_a_sentence(tmp_path, config, tensors, said):
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "lora_alpha": 4, **config}))
    low = {"A": torch.ones(2, 4), "B": torch.ones(3, 2), **tensors}
    save_file(
        {f"base_model.model.x.lora_{kind}.weight": low[kind] for kind in low}, tmp_path / "adapter_model.safetensors"
    )
    if said is None:
        assert read_adapter(str(tmp_path))["x"].scale == 2
        return
    with pytest.raises(RequestError, match=said):
        read_adapter(str(tmp_path))


def test_an_adapter_s_config_that_is_nested_without_end_is_refused(tmp_path):
    (tmp_path / "adapter_config.json").write_text("[" * 100_000)
    with pytest.raises(RequestError, match="nested too deeply"):
        read_adapter(str(tmp_path))


def test_rank_stabilised_scale(tiny, tmp_path):
    """alpha / sqrt(r) in place of alpha / r (Kalajdzievski, 2023, arXiv:2312.03732)."""
    plain, _ = save_adapter(tmp_path, tiny(), 5, rank=4, alpha=8)
    stable, _ = save_adapter(tmp_path, tiny(), 6, rank=4, alpha=8, use_rslora=True)
    assert {low.scale for low in read_adapter(str(plain)).values()} == {2.0}
    assert {low.scale for low in read_adapter(str(stable)).values()} == {4.0}
    assert json.loads((stable / "adapter_config.json").read_text())["use_rslora"]


def test_a_backend_without_adapters_says_so():
    with pytest.raises(ConfigError, match="its backend loads no adapters"):
        Agent(name="ada", backend=MockBackend(), prompts=None, adapter="somewhere")


def test_agents_of_a_config_that_differ_in_their_adapter_share_one_model(tiny, tmp_path, run):
    from debate.build import build_debate
    from debate.config.load import load_config
    from debate.config.shipped import find_config
    from debate.runtime.backends import Backends

    base = tiny("llama-wide")
    folders = [str(save_adapter(tmp_path, base, seed)[0]) for seed in (1, 2)]
    model = [f"model={base}", "dtype=float32", "backend=transformers", "max_tokens=6", "format=plain"]
    given = [f"agents.ada.adapter={folders[0]}", f"agents.ben.adapter={folders[1]}"]
    config = load_config(find_config(Path("first_debate")), [*model, *given])

    async def play():
        backends = Backends(config)
        try:
            debate = build_debate(config, backends)
            pending = {
                name: agent.speak(Question("case", "What is 1+1?"), None, [], seed=0)
                for name, agent in debate.agents.items()
            }
            said = {name: (await one).message for name, one in pending.items()}
            return said, len(backends.started)
        finally:
            await backends.close()

    said, engines = run(play())
    assert engines == 1
    assert said["ada"].digest != said["ben"].digest
    mistyped = load_config(find_config(Path("first_debate")), [*model, "agents.ada.adapter=nowhere"])
    with pytest.raises(RequestError, match="the adapter 'nowhere'"):
        build_debate(mistyped, Backends(mistyped))
    assert torch.is_tensor(said["ada"].cipher.vectors)
