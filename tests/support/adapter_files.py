"""Making LoRA adapters, and the same merged into a model's weights by plain arithmetic."""

import json
import shutil

import torch
from safetensors.torch import load_file, save_file


def save_adapter(folder, model_folder, seed, *, rank=4, alpha=8, of="self_attn.q_proj", **config):
    """Return the folders of an adapter of a tiny model's maps of one name (a Llama's of queries), and of the merged model."""
    generator = torch.Generator().manual_seed(seed)
    adapter, merged = folder / f"adapter{seed}", folder / f"merged{seed}"
    shutil.copytree(model_folder, merged)
    adapter.mkdir()
    weights = load_file(merged / "model.safetensors")
    lora = {}
    for name, weight in list(weights.items()):
        layer = name.removesuffix(".weight")
        if not layer.endswith(of):
            continue
        a = torch.randn(rank, weight.shape[1], generator=generator) * 0.3
        b = torch.randn(weight.shape[0], rank, generator=generator) * 0.3
        lora[f"base_model.model.{layer}.lora_A.weight"], lora[f"base_model.model.{layer}.lora_B.weight"] = a, b
        weights[name] = weight + alpha / rank * b @ a
    save_file(lora, adapter / "adapter_model.safetensors")
    save_file(weights, merged / "model.safetensors", metadata={"format": "pt"})
    written = {
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": alpha,
        "target_modules": [of.rpartition(".")[2]],
        "bias": "none",
        **config,
    }
    (adapter / "adapter_config.json").write_text(json.dumps(written))
    return adapter, merged
