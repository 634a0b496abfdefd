"""Models of Qwen3's sizes with random weights: what a step costs does not depend on what the weights say."""

from pathlib import Path

# hidden size, size between, layers, heads, whether the head is the embedding table; of the models' own configs.
SIZES: dict[str, tuple[int, int, int, int, bool]] = {
    "qwen3-0.6b": (1024, 3072, 28, 16, True),
    "qwen3-1.7b": (2048, 6144, 28, 16, True),
    "qwen3-4b": (2560, 9728, 36, 32, True),
    "qwen3-8b": (4096, 12288, 36, 32, False),
    # For trying the command out on a CPU.
    "tiny": (128, 192, 2, 4, True),
}
VOCABULARY = {"tiny": 300}


def write_random(shape: str, folder: Path, device: str) -> None:
    """Write a model of a size, in bf16, and a tokenizer of bytes into a folder.

    Args:
        shape: of SIZES.
        folder: that is empty.
        device: where the weights are drawn.
    """
    import torch
    from transformers import AutoModelForCausalLM, Qwen3Config

    from agents.tokenizers import byte_tokenizer

    hidden, between, layers, heads, tied = SIZES[shape]
    vocabulary = VOCABULARY.get(shape, 151_936)
    config = Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=between,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=min(8, heads),
        head_dim=32 if shape == "tiny" else 128,
        max_position_embeddings=4096,
        tie_word_embeddings=tied,
        bos_token_id=256,
        eos_token_id=257,
        pad_token_id=257,
    )
    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(folder)
    byte_tokenizer(vocabulary).save_pretrained(folder)
