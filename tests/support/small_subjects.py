"""Random models of a few thousand weights in every family whose blocks transforms know, as transforms are given them."""

import torch
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config

from agents.tokenizers import byte_tokenizer
from agents.transforms.subject import Subject

SIZES = {
    "vocab_size": 258,
    "hidden_size": 24,
    "intermediate_size": 10,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 6,
    "max_position_embeddings": 64,
    "bos_token_id": 256,
    "eos_token_id": 257,
    "pad_token_id": 257,
}
FAMILIES = {
    "llama": LlamaConfig(**SIZES, tie_word_embeddings=True),
    "llama-biased": LlamaConfig(**SIZES, attention_bias=True, mlp_bias=True),
    "mistral": MistralConfig(**SIZES, sliding_window=4),
    "qwen2": Qwen2Config(**SIZES),
    "qwen3": Qwen3Config(**SIZES, tie_word_embeddings=True),
}


def subject(family="llama", seed=0):
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(FAMILIES[family], attn_implementation="eager").eval().requires_grad_(False)
    for weight in model.model.layers.parameters():
        weight += 0.3 * torch.randn_like(weight)
    return Subject(family, model, byte_tokenizer(258), torch.float32)


def logits(made, ids):
    return made.model(ids, use_cache=False).logits


IDS = torch.tensor([[256, 72, 101, 108, 108, 111, 33, 10], [256, 50, 43, 51, 61, 53, 257, 257]])
