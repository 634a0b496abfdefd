"""A tiny Llama as a GGUF file, written as converters write it."""

import numpy as np
import torch

NAMES = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def permuted(weight, heads):
    """Return the rows of a query or key projection in the order that llama.cpp's rotation wants."""
    rows, width = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, width).swapaxes(1, 2).reshape(rows, width)


def write_gguf(path, model, tokenizer, *, quantised=False, leave_out=(), architecture="llama", pre="gpt-2", bos=None):
    """Write a Llama of transformers and a byte-level tokenizer; return the tensors by the names that the file has.

    Args:
        path: where.
        model, tokenizer: of transformers.
        quantised: the matrices in Q8_0.
        leave_out: tensors that are not written.
        architecture: what the file calls it.
        pre: the name of how texts are cut; None leaves it out.
        bos: whether a BOS token goes before every text; None leaves it out.
    """
    import gguf

    config = model.config
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config.vocab_size)
    tokens = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)
    special = set(tokenizer.all_special_tokens)
    # A file without merges is not read; this one is of what no text here has.
    tokens[-1] = "!!"
    writer.add_tokenizer_model("gpt2")
    if pre is not None:
        writer.add_tokenizer_pre(pre)
    if bos is not None:
        writer.add_add_bos_token(bos)
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL if token in special else gguf.TokenType.NORMAL for token in tokens])
    writer.add_token_merges(["! !"])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    if tokenizer.chat_template:
        writer.add_chat_template(tokenizer.chat_template)
    found = {}
    for key, tensor in model.state_dict().items():
        array = tensor.detach().float().numpy()
        if ".layers." in key:
            number, _, rest = key.partition(".layers.")[2].partition(".")
            name = f"blk.{number}.{NAMES[rest.removesuffix('.weight')]}.weight"
            if ".q_proj" in key or ".k_proj" in key:
                array = permuted(array, config.num_attention_heads if ".q_proj" in key else config.num_key_value_heads)
        else:
            name = {"embed_tokens": "token_embd.weight", "norm": "output_norm.weight", "lm_head": "output.weight"}[
                key.removeprefix("model.").removesuffix(".weight")
            ]
        if name in leave_out or (name == "output.weight" and config.tie_word_embeddings):
            continue
        array = np.ascontiguousarray(array)
        if quantised and array.ndim == 2:
            kind = gguf.GGMLQuantizationType.Q8_0
            packed = gguf.quants.quantize(array, kind)
            writer.add_tensor(name, packed, raw_dtype=kind)
            array = gguf.quants.dequantize(packed, kind)
        else:
            writer.add_tensor(name, array)
        found[name] = torch.tensor(array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return found
