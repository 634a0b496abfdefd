"""What a model costs: by hand, against torch's count, and on a device."""

import pytest
from transformers import GPT2Config, LlamaConfig, MixtralConfig, Qwen3Config

from agents.errors import ConfigError, ModelError, UnknownName
from debate.bench.cost import COUNTED_TOKENS, DEVICES, Cost, cost, device

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 100,
}


def test_a_small_llama_is_counted_by_hand():
    found = cost(LlamaConfig(**SIZES, tie_word_embeddings=False), "small")
    # Queries and outputs 32 x 32, keys and values 16 x 32, three maps of 32 x 48; then the head over the vocabulary.
    layer = 2 * 32 * 32 + 2 * 16 * 32 + 3 * 32 * 48
    assert found.linear == 2 * layer + 32 * 100
    # Beside them the embedding and five norms.
    assert found.parameters == found.linear + 32 * 100 + 5 * 32
    assert found.attention == 4 * 2 * 32
    assert found.cache_bytes(10, "bfloat16") == 2 * 2 * 16 * 10 * 2
    assert found.operations(7) == 2 * found.linear + 7 * found.attention
    assert found.counted == COUNTED_TOKENS * found.operations(COUNTED_TOKENS)
    assert found.error == 0


@pytest.mark.parametrize(
    "config",
    [
        LlamaConfig(**SIZES, tie_word_embeddings=True),
        Qwen3Config(**SIZES, head_dim=16),
        GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=100, bos_token_id=1, eos_token_id=1),
    ],
    ids=lambda config: config.model_type,
)
def test_the_formula_is_what_torch_counts(config):
    assert abs(cost(config, "small").error) < 0.01


def test_a_model_that_the_formula_does_not_fit_is_refused():
    with pytest.raises(ModelError, match="small: (operations of mixtral cannot be counted unloaded|torch counts)"):
        cost(MixtralConfig(**SIZES, num_local_experts=4), "small")
    with pytest.raises(UnknownName, match="unknown device 'h20'.*Did you mean 'h200'"):
        device("h20")
    from transformers import ViTConfig

    with pytest.raises(ConfigError, match="no causal language model of this config"):
        cost(ViTConfig(), "pictures")


def test_the_roofline_is_the_slower_of_arithmetic_and_memory():
    made = Cost(parameters=1_000_000, linear=900_000, attention=64, cache=128, counted=1)
    on = DEVICES["l4"]
    one = made.step_seconds(on, context=100, rows=1, dtype="bfloat16")
    assert one == pytest.approx(((1_800_000 + 6400) / on.operations, (2_000_000 + 128 * 100 * 2) / on.bandwidth))
    # One row is bound by memory; enough of them by arithmetic, until caches are read longer than weights.
    assert one[1] > one[0]
    many = made.step_seconds(on, context=1, rows=4000, dtype="bfloat16")
    assert many[0] == pytest.approx(4000 * made.operations(1) / on.operations)
    assert many[0] > many[1]


def test_the_command_says_it(cli, tiny):
    code, out, _ = cli("cost", str(tiny()), "--device", "h200", "--context", 100, "--rows", 4)
    assert code == 0
    for words in ("parameters", "operations a token, after 100 positions", "a step of 4 on h200, at least", "+0.00 %"):
        assert words in out
    code, _, err = cli("cost", str(tiny()), "--device", "h20")
    assert code == 2
    assert "unknown device 'h20'" in err
