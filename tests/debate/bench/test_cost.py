"""What a model costs: by hand, against the model's own parameters and torch's count, and on a device."""

import json

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    MixtralConfig,
    Phi3Config,
    Qwen2Config,
    Qwen3Config,
    Qwen3MoeConfig,
    SmolLM3Config,
)

from agents.errors import ConfigError, ModelError, UnknownName
from debate.bench.cost import COUNTED_TOKENS, Cost, cost
from debate.bench.devices import device, devices
from debate.bench.shape import FAMILIES, Layer, Shape, shape_of
from kernels.expectation.reference import expected_embedding
from kernels.nearest.reference import nearest_token

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 100,
    "bos_token_id": 1,
    "eos_token_id": 1,
    "pad_token_id": 0,
}
EXPERTS = {"num_experts_per_tok": 2, "experts_implementation": "batched_mm"}
ALTERNATING = {"sliding_window": 16, "layer_types": ["sliding_attention", "full_attention"]}
CONFIGS = {
    "llama": LlamaConfig(**SIZES, tie_word_embeddings=True),
    "llama, biased": LlamaConfig(**SIZES, attention_bias=True, mlp_bias=True, tie_word_embeddings=False),
    "qwen2": Qwen2Config(**SIZES),
    "qwen3": Qwen3Config(**SIZES, head_dim=16),
    "gemma": GemmaConfig(**SIZES, head_dim=8),
    "gemma2": Gemma2Config(**SIZES, head_dim=8, sliding_window=16),
    "gemma3_text": Gemma3TextConfig(**SIZES, head_dim=8, **ALTERNATING),
    "gpt2": GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=100, n_positions=256, bos_token_id=1, eos_token_id=1),
    "gpt2, narrow": GPT2Config(
        n_embd=32, n_layer=1, n_head=2, n_inner=40, vocab_size=100, n_positions=64, bos_token_id=1, eos_token_id=1,
        tie_word_embeddings=False,
    ),
    "gpt_neox": GPTNeoXConfig(**{key: value for key, value in SIZES.items() if key != "num_key_value_heads"}),
    "mistral": MistralConfig(**SIZES, sliding_window=16),
    "mixtral": MixtralConfig(**SIZES, **EXPERTS, num_local_experts=4),
    "phi3": Phi3Config(**SIZES),
    "qwen3_moe": Qwen3MoeConfig(
        **SIZES, **EXPERTS, head_dim=8, num_experts=4, moe_intermediate_size=24, mlp_only_layers=[0]
    ),
    "smollm3": SmolLM3Config(**SIZES),
}  # fmt: skip


def test_a_small_llama_is_counted_by_hand():
    found = cost(LlamaConfig(**SIZES, tie_word_embeddings=False), "small")
    # Queries and outputs 32 x 32, keys and values 16 x 32, three maps of 32 x 48; then the head over the vocabulary.
    layer = 2 * 32 * 32 + 2 * 16 * 32 + 3 * 32 * 48
    assert found.shape.linear == 2 * layer + 32 * 100
    # Beside them the embedding and five norms.
    assert found.parameters == found.shape.linear + 32 * 100 + 5 * 32
    assert found.operations(7) == 2 * found.shape.linear + 7 * 4 * 2 * 32
    assert found.cache_bytes(10, "bfloat16") == 2 * 2 * 16 * 10 * 2
    assert found.cache_bytes_a_token(10, "bfloat16") == 2 * 2 * 16 * 2
    assert found.message_bytes_a_token("float32") == 32 * 4
    assert found.counted == COUNTED_TOKENS * found.operations(COUNTED_TOKENS)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_formula_is_what_torch_counts_in_a_model_with_weights(name):
    """Counted in a real forward pass over real weights, where the command counts on tensors without memory."""
    config, tokens = CONFIGS[name], 23
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    if name in ("mixtral", "qwen3_moe"):
        model.set_experts_implementation("batched_mm")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.arange(tokens)[None] + 2, use_cache=False)
    shape = shape_of(config, name)
    attention = sum(4 * layer.heads * layer.head for layer in shape.layers)
    assert counter.get_total_flops() == tokens * (2 * shape.linear + tokens * attention)
    assert shape.parameters == sum(weights.numel() for weights in model.parameters())
    assert cost(config, name).parameters == shape.parameters


def test_every_family_is_held_against_its_own_code():
    assert {config.model_type for config in CONFIGS.values()} == set(FAMILIES)


def test_the_cache_is_what_a_model_keeps():
    for name in CONFIGS:
        model = AutoModelForCausalLM.from_config(CONFIGS[name]).eval()
        with torch.no_grad():
            kept = model(torch.arange(40)[None] + 2, use_cache=True).past_key_values
        shape = shape_of(CONFIGS[name], name)
        numbers = sum(layer.keys.numel() + layer.values.numel() for layer in kept.layers)
        # transformers keeps one position less of a window: the next token is its last.
        windowed = sum(2 * layer.kept * layer.head for layer in shape.layers if layer.window is not None)
        assert numbers == shape.cached(40) - windowed, name


def test_positions_beyond_those_that_are_learned_are_refused():
    found = cost(CONFIGS["gpt2, narrow"], "small")
    asked = (
        found.operations,
        lambda context: found.cache_bytes(context, "float32"),
        lambda context: found.held_bytes(context=context, rows=1, dtype="float32"),
        lambda context: found.step(device("l4"), context=context, rows=1, dtype="float32").read,
    )
    for each in asked:
        assert each(64) > 0
        with pytest.raises(
            ConfigError, match="a context of 5,000 positions is beyond the 64 that the model has learned"
        ):
            each(5000)
    # Rotary positions have no weights, and no end.
    assert cost(CONFIGS["llama"], "small").operations(10**6) > 0


def test_of_tables_no_more_is_read_than_there_is():
    tied, untied, learned = (cost(CONFIGS[name], "small") for name in ("llama", "llama, biased", "gpt2, narrow"))
    for rows in (1, 99, 100, 101, 5000):
        assert tied.weights_read(rows) == tied.parameters
        assert untied.weights_read(rows) == untied.parameters - 32 * max(100 - rows, 0)
        # Of 64 positions the one where all rows are.
        assert learned.weights_read(rows) == learned.parameters - 32 * (63 + max(100 - rows, 0))


def test_a_window_bounds_what_a_token_attends_to_and_what_is_kept():
    found = cost(CONFIGS["gemma3_text"], "small")
    a_layer = 4 * 4 * 8
    assert found.operations(100) - found.operations(16) == a_layer * (100 - 16)
    assert found.cache_bytes_a_token(17, "float16") == found.cache_bytes_a_token(16, "float16") // 2


def test_what_the_expectation_and_the_nearest_token_add_is_what_torch_counts_of_them():
    found = cost(LlamaConfig(**SIZES), "small")
    table, rows = torch.randn(100, 32, generator=torch.Generator().manual_seed(1)), 5
    logits = torch.randn(rows, 100, generator=torch.Generator().manual_seed(2))
    with FlopCounterMode(display=False) as counter:
        vectors = expected_embedding(logits, table, torch.ones(rows))
        cosines = vectors @ table.T / table.norm(dim=1)
    # By these products alone: the definition of the nearest token sums each row by itself, which torch does not count.
    assert torch.equal(cosines.argmax(dim=1), nearest_token(vectors, table)[0])
    assert counter.get_total_flops() == rows * found.cipher_operations


def test_what_is_not_covered_is_refused_by_name():
    from transformers import MambaConfig, ViTConfig

    with pytest.raises(ModelError, match="heard: the cost model does not cover models of type mamba; it covers gemma"):
        cost(MambaConfig(), "heard")
    with pytest.raises(ModelError, match="does not cover models of type vit"):
        cost(ViTConfig(), "pictures")
    with pytest.raises(ModelError, match="does not cover weights quantised by gptq"):
        cost(LlamaConfig(**SIZES, quantization_config={"quant_method": "gptq", "bits": 4}), "small")
    with pytest.raises(ModelError, match="does not cover layers of type chunked_attention"):
        cost(Qwen3Config(**SIZES, head_dim=8, layer_types=["chunked_attention", "full_attention"]), "small")
    with pytest.raises(ModelError, match="does not cover cross-attention"):
        cost(GPT2Config(n_embd=32, n_layer=1, n_head=4, add_cross_attention=True), "small")


def test_a_model_whose_own_code_differs_is_refused(monkeypatch):
    # As if Qwen2 had no biases, and then as if a layer had a gate less.
    config = CONFIGS["qwen2"]
    monkeypatch.setitem(FAMILIES, "qwen2", FAMILIES["llama"])
    with pytest.raises(
        ModelError, match=r"formula of qwen2 has 21,920 parameters where the model's own code has 22,048"
    ):
        cost(config, "small")
    parameters = shape_of(config, "small").parameters
    monkeypatch.setattr("debate.bench.cost.counted_of", lambda config, name: (parameters, 1))
    with pytest.raises(ModelError, match="operations where the model's own code has 1;"):
        cost(config, "small")


LAYER = Layer(heads=4, kept=2, head=8, window=None, between=48, gated=True, experts=0, active=0, extra=64)
SHAPE = Shape(vocabulary=100_000, width=32, positions=0, tied=False, layers=(LAYER,) * 2, extra=32)


def test_the_roofline_is_the_slower_of_arithmetic_and_memory():
    made, on = Cost(SHAPE, 0), device("l4")
    one = made.step(on, context=100, rows=1, dtype="bfloat16")
    # Weights but for the input table, of which one row is looked up; and the cache.
    assert one.read == 2 * (SHAPE.parameters - SHAPE.table + 32 + SHAPE.cached(100))
    assert one.memory == pytest.approx(one.read / 300e9)
    assert one.arithmetic == pytest.approx(made.operations(100) / 121e12)
    assert (one.bound, one.seconds) == ("memory", one.memory)
    many = made.step(on, context=1, rows=4000, dtype="bfloat16")
    assert (many.bound, many.seconds) == ("arithmetic", many.arithmetic)
    assert many.operations == 4000 * made.operations(1)
    # The peak is the data type's.
    slow = made.step(on, context=1, rows=4000, dtype="float32")
    assert slow.arithmetic == pytest.approx(many.arithmetic * 121 / 30.3)
    with pytest.raises(ConfigError, match="no peak in bfloat16, only in float32, float16"):
        made.step(device("t4"), context=1, rows=1, dtype="bfloat16")


def test_a_cipher_step_reads_the_table_twice_more():
    made, on = Cost(SHAPE, 0), device("h200")
    text, cipher = (made.step(on, context=100, rows=3, dtype="float16", cipher=form) for form in (False, True))
    assert cipher.read - text.read == 2 * 2 * SHAPE.table
    assert cipher.operations - text.operations == 3 * 4 * SHAPE.table


def test_of_experts_those_that_serve_are_read():
    found = cost(CONFIGS["mixtral"], "small")
    expert = 3 * 32 * 48
    dense = found.parameters - found.shape.table - 2 * 4 * expert
    assert found.weights_read(1) == dense + 2 * 2 * expert + 32
    assert found.weights_read(1, evenly=True) == found.weights_read(1)
    # Three rows that choose two of four evenly need 4 (1 - 1/8) experts in the mean.
    assert found.weights_read(3, evenly=True) == dense + 2 * 7 * expert // 2 + 3 * 32
    assert found.weights_read(3) == dense + 2 * 2 * expert + 3 * 32


def test_devices_are_data_with_a_source(tmp_path):
    assert all(each.source and each.bandwidth > 0 for each in devices().values())
    with pytest.raises(UnknownName, match="unknown device 'h20'.*Did you mean 'h200'"):
        device("h20")
    file = tmp_path / "mine.yaml"
    file.write_text("box: {operations: {float32: 0.02}, bandwidth: 12, memory: 8, source: measured here}\n")
    assert device(str(file)).operations_a_second("float32") == 2e10
    for text, sentence in (
        ("box: {operations: {float32: 1}, bandwidth: 12, memory: 8}", "box.source: Field required"),
        (
            "box: {operations: {float32: 0}, bandwidth: 12, memory: 8, source: x}",
            "box.operations: a peak is a number above 0",
        ),
        ("box: {operations: {float32: .nan}, bandwidth: 12, memory: 8, source: x}", "a peak is a number above 0"),
        ("box: {operations: {float32: 1}, bandwidth: 12, memory: 8, source: x, speed: 1}", "box.speed: Extra inputs"),
        ("[1]", "a mapping of a name to its figures"),
        ("a: &a {operations: {float32: 1}, bandwidth: 1, memory: 8, source: x}\nb: *a", "has 2 devices"),
    ):
        file.write_text(text)
        with pytest.raises(ConfigError, match=sentence):
            device(str(file))
    with pytest.raises(ConfigError, match="there is no such file of devices"):
        device(str(tmp_path / "none.yaml"))


def test_the_command_says_it(cli, tiny, tmp_path):
    code, out, _ = cli("cost", str(tiny()), "--device", "h200", "--context", 100, "--rows", 4)
    assert code == 0
    for words in (
        "parameters",
        "CIPHER",
        "operations a token, after 100 positions",
        "a step of 4 on h200, at least",
        "Equal to",
    ):
        assert words in out
    code, out, _ = cli("cost", str(tiny()), "--json", "--context", 100)
    figures = json.loads(out)
    assert (
        figures["steps"]["cipher"]["operations"] == figures["operations_a_token"] + figures["cipher_operations_a_token"]
    )
    code, _, err = cli("cost", str(tiny()), "--device", "h20")
    assert code == 2
    assert "unknown device 'h20'" in err
    file = tmp_path / "small.yaml"
    file.write_text("box: {operations: {bfloat16: 1}, bandwidth: 12, memory: 0.00001, source: measured here}\n")
    code, out, _ = cli("cost", str(tiny()), "--device", str(file))
    assert "It does not fit" in out
