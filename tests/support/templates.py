"""Chat templates as the families write them, and tokenizers of the kinds that go with them."""

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

LOOP = "{% for m in messages %}"
TURNS = "{{ m['role'] }}\n{{ m['content'] }}"
ALTERNATE = (
    "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}"
)
# As the families write them: (control tokens, of them those that the tokenizer does not call special, template).
TEMPLATES = {
    "chatml": (
        ("<|im_start|>", "<|im_end|>"),
        (),
        LOOP
        + "<|im_start|>"
        + TURNS
        + "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
    ),
    "llama-3": (
        ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        (),
        "<|begin_of_text|>"
        + LOOP
        + "<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n{{ m['content'] | trim }}<|eot_id|>{% endfor %}"
        + "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}",
    ),
    "gemma": (
        ("<bos>", "<start_of_turn>", "<end_of_turn>"),
        (),
        "<bos>{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
        + LOOP
        + ALTERNATE
        + "<start_of_turn>{{ m['role'] }}\n{{ m['content'] | trim }}<end_of_turn>\n{% endfor %}"
        + "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}",
    ),
    "mistral": (
        ("<s>", "[INST]", "[/INST]", "</s>"),
        (),
        "<s>{% if messages[0]['role'] == 'system' %}{% set said = messages[0]['content'] %}{% set rest = messages[1:] %}"
        "{% else %}{% set rest = messages %}{% endif %}{% for m in rest %}{% if m['role'] == 'user' %}[INST] "
        "{% if loop.last and said is defined %}{{ said }}\n\n{% endif %}{{ m['content'] }}[/INST]"
        "{% else %} {{ m['content'] }}</s>{% endif %}{% endfor %}",
    ),
    "deepseek": (
        ("<｜begin▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>"),
        ("<｜User｜>", "<｜Assistant｜>"),
        "<｜begin▁of▁sentence｜>"
        + LOOP
        + "{% if m['role'] == 'user' %}<｜User｜>{{ m['content'] }}{% elif m['role'] == 'assistant' %}<｜Assistant｜>"
        "{{ m['content'] }}<｜end▁of▁sentence｜>{% else %}{{ m['content'] }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<｜Assistant｜>{% endif %}",
    ),
    "parts only": (
        ("<|start|>", "<|end|>"),
        (),
        LOOP + "<|start|>{{ m['role'] }}\n{% for p in m['content'] %}{{ p['text'] }}{% endfor %}<|end|>\n{% endfor %}",
    ),
}


def byte_level(control, ordinary=(), template=None):
    """Return a tokenizer of bytes with control tokens, as most models have one."""
    core = Tokenizer(
        models.BPE(
            vocab={token: place for place, token in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, merges=[]
        )
    )
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    return with_control(core, control, ordinary, template)


def metaspace(control, ordinary=(), template=None):
    """Return a tokenizer as SentencePiece makes them: a word is known by the space before it."""
    pieces = [(piece, -2.0) for piece in ("<unk>", "▁", *map(chr, range(33, 127)), "\n", "｜", "é")]
    # A model whose table of pieces has its control tokens, too.
    core = Tokenizer(models.Unigram([*pieces, *((name, 0.0) for name in control)], unk_id=0))
    core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    core.decoder = decoders.Metaspace(prepend_scheme="first")
    return with_control(core, control, ordinary, template)


def with_control(core, control, ordinary, template):
    core.add_special_tokens([AddedToken(name, normalized=False) for name in control if name not in ordinary])
    core.add_tokens([AddedToken(name, normalized=False) for name in ordinary])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core)
    tokenizer.chat_template = template
    return tokenizer
