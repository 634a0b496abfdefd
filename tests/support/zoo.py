"""A zoo of tiny random models, one for each architecture of transformers' causal models that is small enough to build.

`python tests/support/zoo.py FOLDER` writes them all; `debate model check FOLDER/*` then makes the table of docs/models.md.
"""

import sys
from pathlib import Path
from typing import Any

import torch
import transformers

VOCABULARY = 258
CONTEXT = 256
# How many times as wide models are for vLLM, whose attention on CPUs has no heads of 8 numbers.
WIDE = 4
COMMON: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT,
    "bos_token_id": 256,
    "eos_token_id": 257,
    "pad_token_id": 0,
}
HEADS = {"num_key_value_heads": 4}
NARROW = {"head_dim": 8}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32, **NARROW}
LOCAL = {"num_local_experts": 4, "num_experts_per_tok": 2}
LATENT = {
    **HEADS,
    "q_lora_rank": 16,
    "kv_lora_rank": 64,
    "qk_rope_head_dim": 16,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
}
ROUTED = {
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "n_group": 1,
    "topk_group": 1,
    "moe_intermediate_size": 32,
    "first_k_dense_replace": 1,
}
MAMBA = {"mamba_d_state": 8, "mamba_n_heads": 8, "mamba_d_head": 8, "mamba_n_groups": 1, "mamba_chunk_size": 8}
LINEAR = {
    **NARROW,
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "layer_types": ["linear_attention", "full_attention"],
}
ALTERNATING = {
    "sliding_window": 16,
    "num_hidden_layers": 4,
    "layer_types": ["sliding_attention", "full_attention"] * 2,
}
# Widths, and what is as long as one.
WIDTHS = {
    *("hidden_size", "n_embd", "d_model", "head_dim", "kv_channels", "intermediate_size", "intermediate_size_mlp"),
    *("moe_intermediate_size", "shared_expert_intermediate_size", "shared_intermediate_size", "expert_ffn_hidden_size"),
    *("qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim", "kv_lora_rank", "q_lora_rank", "rotary_dim", "ffn_dim"),
    *(
        "ffn_hidden_size",
        "mamba_d_head",
        "mamba_headdim",
        "mamba_d_ssm",
        "linear_key_head_dim",
        "linear_value_head_dim",
    ),
    *("word_embed_proj_dim", "short_factor", "long_factor", "attention_hidden_size", "lru_width", "d_inner"),
}
OLD = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": CONTEXT}


def longrope(after: int) -> dict[str, Any]:
    """Return the settings of rotary scales that change after some positions."""
    scales = {"short_factor": [1.0] * 4, "long_factor": [1.0, 2.0, 4.0, 8.0]}
    rope = {"rope_type": "longrope", "rope_theta": 10000.0, "original_max_position_embeddings": after, **scales}
    return {"rope_parameters": rope, "original_max_position_embeddings": after}


def rope(kind: str, **settings: Any) -> dict[str, Any]:
    """Return the settings of a rotary scale."""
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 10000.0, "factor": 4.0, **settings}}


# Name → the config's class and what it has beside or in place of COMMON.
ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "afmoe": (
        "AfmoeConfig",
        {**EXPERTS, "score_func": "sigmoid", "num_dense_layers": 1, "sliding_window": 16, "num_hidden_layers": 4},
    ),
    "apertus": ("ApertusConfig", {}),
    "arcee": ("ArceeConfig", {}),
    "bamba": ("BambaConfig", {**MAMBA, "attn_layer_indices": [1]}),
    "biogpt": ("BioGptConfig", {}),
    "bitnet": ("BitNetConfig", {}),
    "bloom": ("BloomConfig", {"n_layer": 2, "n_head": 4}),
    "codegen": ("CodeGenConfig", {**OLD, "rotary_dim": 4}),
    "cohere": ("CohereConfig", {}),
    "cohere2": ("Cohere2Config", {**ALTERNATING, **NARROW}),
    "ctrl": ("CTRLConfig", {**OLD, "dff": 48}),
    "cwm": ("CwmConfig", {**NARROW, **ALTERNATING}),
    "dbrx": (
        "DbrxConfig",
        {
            "d_model": 32,
            "n_heads": 4,
            "n_layers": 2,
            "max_seq_len": CONTEXT,
            "attn_config": {"kv_n_heads": 2, "rope_theta": 10000.0, "clip_qkv": 8.0},
            "ffn_config": {"ffn_hidden_size": 32, "moe_num_experts": 4, "moe_top_k": 2},
        },
    ),
    "deepseek_v2": ("DeepseekV2Config", {**LATENT, **ROUTED, "topk_method": "greedy"}),
    "deepseek_v3": ("DeepseekV3Config", {**LATENT, **ROUTED, "topk_method": "noaux_tc", "scoring_func": "sigmoid"}),
    "diffllama": ("DiffLlamaConfig", {}),
    "doge": ("DogeConfig", {}),
    "dots1": ("Dots1Config", {**ROUTED, **NARROW, **HEADS, "n_shared_experts": 1}),
    "ernie4_5": ("Ernie4_5Config", {**NARROW}),
    "ernie4_5_moe": ("Ernie4_5_MoeConfig", {"moe_num_experts": 4, "moe_k": 2, "moe_intermediate_size": 32}),
    "exaone4": ("Exaone4Config", {**ALTERNATING, **NARROW}),
    "falcon-alibi": ("FalconConfig", {"alibi": True, "multi_query": False, **HEADS}),
    "falcon-rotary": ("FalconConfig", {"alibi": False, "multi_query": True, **HEADS}),
    "falcon-grouped": (
        "FalconConfig",
        {"alibi": False, "new_decoder_architecture": True, "num_kv_heads": 2},
    ),
    "falcon_h1": ("FalconH1Config", {**MAMBA, "mamba_d_ssm": 64, **NARROW}),
    "falcon_mamba": ("FalconMambaConfig", {"state_size": 8}),
    "flex_olmo": ("FlexOlmoConfig", {"num_experts": 4, "num_experts_per_tok": 2}),
    "gemma": ("GemmaConfig", {**NARROW}),
    "gemma2": ("Gemma2Config", {**NARROW, "sliding_window": 16}),
    "gemma3": ("Gemma3TextConfig", {**NARROW, **ALTERNATING}),
    "gemma3n": (
        "Gemma3nTextConfig",
        {
            **NARROW,
            "num_hidden_layers": 5,
            "vocab_size_per_layer_input": VOCABULARY,
            "hidden_size_per_layer_input": 8,
            "laurel_rank": 8,
            "altup_num_inputs": 2,
            "num_kv_shared_layers": 0,
            "layer_types": ["sliding_attention"] * 4 + ["full_attention"],
            "activation_sparsity_pattern": [0.0] * 5,
            "sliding_window": 16,
        },
    ),
    "glm": ("GlmConfig", {**NARROW}),
    "glm4": ("Glm4Config", {**NARROW}),
    "glm4_moe": ("Glm4MoeConfig", {**ROUTED, **NARROW}),
    "gpt2": ("GPT2Config", OLD),
    "gpt2-scaled": ("GPT2Config", {**OLD, "scale_attn_by_inverse_layer_idx": True, "reorder_and_upcast_attn": True}),
    "gpt_bigcode": ("GPTBigCodeConfig", OLD),
    "gpt_neo": (
        "GPTNeoConfig",
        {"num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]], "window_size": 8},
    ),
    "gpt_neox": ("GPTNeoXConfig", {}),
    "gpt_neox_japanese": ("GPTNeoXJapaneseConfig", {}),
    "gpt_oss": ("GptOssConfig", {**LOCAL, **NARROW, **ALTERNATING}),
    "gptj": ("GPTJConfig", {**OLD, "rotary_dim": 4}),
    "granite": (
        "GraniteConfig",
        {"embedding_multiplier": 12.0, "logits_scaling": 8.0, "residual_multiplier": 0.22, "attention_multiplier": 0.1},
    ),
    "granitemoe": ("GraniteMoeConfig", LOCAL),
    "granitemoehybrid": (
        "GraniteMoeHybridConfig",
        {**LOCAL, **MAMBA, "layer_types": ["mamba", "attention"], "shared_intermediate_size": 32},
    ),
    "granitemoeshared": ("GraniteMoeSharedConfig", {**LOCAL, "shared_intermediate_size": 32}),
    "helium": ("HeliumConfig", {**NARROW}),
    "hunyuan_v1_dense": ("HunYuanDenseV1Config", {**NARROW}),
    "hunyuan_v1_moe": ("HunYuanMoEV1Config", {"num_experts": 4, "moe_topk": 2, **NARROW}),
    "jamba": (
        "JambaConfig",
        {
            "num_experts": 2,
            "mamba_d_state": 8,
            "use_mamba_kernels": False,
            "attn_layer_period": 2,
            "attn_layer_offset": 1,
        },
    ),
    "jetmoe": ("JetMoeConfig", {"num_local_experts": 4, "kv_channels": 8, "num_key_value_heads": 2}),
    "lfm2": ("Lfm2Config", {"layer_types": ["conv", "full_attention"]}),
    "llama": ("LlamaConfig", {"tie_word_embeddings": True}),
    "llama-dynamic": ("LlamaConfig", rope("dynamic")),
    "llama-yarn": ("LlamaConfig", rope("yarn", original_max_position_embeddings=64)),
    "llama-longrope": ("LlamaConfig", longrope(64)),
    "llama3": (
        "LlamaConfig",
        rope("llama3", low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64),
    ),
    "llama4": (
        "Llama4TextConfig",
        {
            **NARROW,
            "num_local_experts": 2,
            "intermediate_size_mlp": 48,
            "attention_chunk_size": 16,
            "num_hidden_layers": 4,
        },
    ),
    "longcat_flash": (
        "LongcatFlashConfig",
        {
            **LATENT,
            "n_routed_experts": 4,
            "zero_expert_num": 2,
            "moe_topk": 2,
            "ffn_hidden_size": 48,
            "expert_ffn_hidden_size": 32,
            "num_layers": 2,
            "head_dim": 16,
        },
    ),
    "mamba": ("MambaConfig", {"state_size": 8}),
    "mamba2": ("Mamba2Config", {"state_size": 8, "num_heads": 8, "head_dim": 8, "n_groups": 1}),
    "minicpm3": ("MiniCPM3Config", {**LATENT}),
    "minimax": ("MiniMaxConfig", {**LOCAL, "layer_types": ["linear_attention", "full_attention"], "block_size": 8}),
    "minimax_m2": ("MiniMaxM2Config", {**LOCAL, **NARROW, "rotary_dim": 8}),
    "ministral": ("MinistralConfig", {**NARROW, **ALTERNATING}),
    "mistral": ("MistralConfig", {"sliding_window": 16}),
    "mixtral": ("MixtralConfig", LOCAL),
    "mixtral-window": ("MixtralConfig", {**LOCAL, "sliding_window": 16}),
    "modernbert-decoder": ("ModernBertDecoderConfig", {"local_attention": 16, "num_hidden_layers": 3}),
    "mpt": ("MptConfig", {"d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": CONTEXT}),
    "nanochat": ("NanoChatConfig", {**NARROW}),
    "nemotron": ("NemotronConfig", {**NARROW}),
    "olmo": ("OlmoConfig", {}),
    "olmo2": ("Olmo2Config", {}),
    "olmo3": ("Olmo3Config", {**ALTERNATING}),
    "olmoe": ("OlmoeConfig", {"num_experts": 4, "num_experts_per_tok": 2}),
    "openai-gpt": ("OpenAIGPTConfig", OLD),
    "opt": ("OPTConfig", {"word_embed_proj_dim": 16, "ffn_dim": 48, "pad_token_id": 1}),
    "persimmon": ("PersimmonConfig", {}),
    "phi": ("PhiConfig", {"partial_rotary_factor": 0.5}),
    "phi3": ("Phi3Config", {}),
    "phi3-longrope": ("Phi3Config", longrope(64)),
    "phi3-window": ("Phi3Config", {"sliding_window": 16}),
    "phimoe": ("PhimoeConfig", LOCAL),
    "phimoe-window": ("PhimoeConfig", {**LOCAL, "sliding_window": 16}),
    "qwen2": ("Qwen2Config", {}),
    "qwen2-window": (
        "Qwen2Config",
        {"use_sliding_window": True, "sliding_window": 16, "max_window_layers": 1},
    ),
    "qwen2_moe": ("Qwen2MoeConfig", {**EXPERTS, "shared_expert_intermediate_size": 32}),
    "qwen3": ("Qwen3Config", {**NARROW, "vocab_size": 272}),
    "qwen3_moe": ("Qwen3MoeConfig", {**EXPERTS, "decoder_sparse_step": 1}),
    "qwen3_next": ("Qwen3NextConfig", {**EXPERTS, **LINEAR, "shared_expert_intermediate_size": 32}),
    "recurrent_gemma": (
        "RecurrentGemmaConfig",
        {"num_hidden_layers": 3, "lru_width": 32, "attention_window_size": 16, "intermediate_size": 96},
    ),
    "rwkv": ("RwkvConfig", {"context_length": CONTEXT, "attention_hidden_size": 32}),
    "seed_oss": ("SeedOssConfig", {**NARROW}),
    "smollm3": ("SmolLM3Config", {"no_rope_layers": [1, 0]}),
    "stablelm": ("StableLmConfig", {}),
    "stablelm-parallel": ("StableLmConfig", {"use_parallel_residual": True, "qk_layernorm": True}),
    "starcoder2": ("Starcoder2Config", {"sliding_window": 16}),
    "vaultgemma": ("VaultGemmaConfig", {**NARROW, "sliding_window": 16}),
    "xglm": ("XGLMConfig", {"d_model": 32, "num_layers": 2, "attention_heads": 4, "ffn_dim": 48}),
    "xlnet": (
        "XLNetConfig",
        {"d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 48, "max_position_embeddings": None},
    ),
    "zamba2": (
        "Zamba2Config",
        {
            **HEADS,
            "mamba_d_state": 8,
            "mamba_headdim": 8,
            "n_mamba_heads": 8,
            "mamba_ngroups": 1,
            "num_hidden_layers": 3,
            "layers_block_type": ["mamba", "hybrid", "mamba"],
            "adapter_rank": 8,
        },
    ),
}


def build(architecture: str, *, wide: int = 1) -> Any:
    """Return a tiny random model, or one some times as wide."""
    kind, own = ARCHITECTURES[architecture]
    # Beside names of its own a config is not given those of COMMON that mean the same.
    mapped = getattr(transformers, kind).attribute_map
    common = {key: value for key, value in COMMON.items() if mapped.get(key) not in own}
    settings = {**common, **own}
    if settings.get("max_position_embeddings", CONTEXT) is None:
        del settings["max_position_embeddings"]
    settings = widened(settings, wide)
    config = getattr(transformers, kind)(**settings)
    torch.manual_seed(7)
    model = transformers.AutoModelForCausalLM.from_config(config)
    draw = torch.Generator().manual_seed(11)
    for weight in model.parameters():
        # Larger than the initialiser's, so that beliefs differ from step to step.
        noise = torch.randn(weight.shape, generator=draw)
        if weight.ndim >= 2:
            weight.data.copy_(noise * 0.25 / wide**0.5)
        else:
            # What begins at 0 is off, and would be tested by nothing.
            weight.data.add_(noise * 0.1)
    return model.eval()


def widened(settings: dict[str, Any], wide: int) -> dict[str, Any]:
    """Return the settings of a config with every width some times as large."""
    found = dict(settings)
    for key, value in settings.items():
        if isinstance(value, dict):
            found[key] = widened(value, wide)
        elif key in WIDTHS:
            found[key] = value * wide
    return found


def save(architecture: str, folder: Path, *, wide: int = 1) -> Path:
    """Write a tiny model with a byte-level tokenizer into a folder, and return it."""
    from agents.tokenizers import byte_tokenizer

    build(architecture, wide=wide).save_pretrained(folder)
    byte_tokenizer(VOCABULARY).save_pretrained(folder)
    return folder


if __name__ == "__main__":
    for name in sys.argv[2:] or ARCHITECTURES:
        print(save(name, Path(sys.argv[1]) / name, wide=WIDE))
