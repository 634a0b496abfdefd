"""Where thinking ends: between tags of every family, opened by the message or by its prompt, or never closed."""

import pytest
import torch

from agents.backend import ChatTurn, Prompt, Request, Sampling
from agents.backends.transformers.engine import Engine
from agents.backends.transformers.model import LoadedModel
from agents.byte_tokens import ByteTokenizer
from agents.decoding.thinking import TAGS, left_open, thinking_end, thinking_tokens
from agents.message_file import from_bytes, to_bytes
from agents.tokenizers import byte_tokenizer


@pytest.mark.parametrize(
    ("text", "closing", "answer"),
    [
        ("<think>4? no.</think>\n\nAnswer: 5", None, "Answer: 5"),
        ("\n<think>\n</think>Answer: 5", None, "Answer: 5"),
        ("[THINK]4?[/THINK]5", None, "5"),
        ("<|channel>thought\n4?<channel|>5", None, "5"),
        ("<|START_THINKING|>4?<|END_THINKING|>5", None, "5"),
        ("<|channel|>final<|message|>5", None, "5"),
        ("</think>\n\n5", None, "5"),
        ("4? no.\n</think> Answer: 5", "</think>", "Answer: 5"),
        ("<think>4? and on and on", None, ""),
        ("4? and on and on", "</think>", ""),
        ("<think>4?</think>", None, ""),
        ("Answer: 5", None, "Answer: 5"),
        ("The tags <think> and </think> are HTML-like.", None, "The tags <think> and </think> are HTML-like."),
        ("<think>a</think>5, since </think> ends it", None, "5, since </think> ends it"),
        ("", None, ""),
        ("", "</think>", ""),
    ],
)
def test_the_answer_is_what_follows_the_thinking(text, closing, answer):
    assert text[thinking_end(text, closing) :] == answer
    ids = list(text.encode())
    assert ByteTokenizer().decode(ids[thinking_tokens(ids, ByteTokenizer(), closing) :]) == answer


@pytest.mark.parametrize("opening", TAGS)
def test_a_prompt_that_ends_in_an_open_tag_leaves_it_open(opening):
    tokenizer = ByteTokenizer()
    assert left_open(list(f"<|assistant|>{opening}\n".encode()), tokenizer) == TAGS[opening]
    assert left_open(list(f"{opening}{TAGS[opening]}\n\n".encode()), tokenizer) is None
    assert left_open([], tokenizer) is None


def test_a_model_that_has_the_tag_as_a_token_may_leave_the_opening_out():
    knows, knows_not = byte_tokenizer(300), byte_tokenizer(300)
    knows.add_tokens(["<think>", "</think>"])
    text = "4? no.</think>5"
    ids = knows(text).input_ids
    assert knows.decode(ids[thinking_tokens(ids, knows) :]) == "5"
    assert thinking_tokens(knows_not(text).input_ids, knows_not) == 0


def test_an_engine_keeps_thinking_apart_in_text_and_in_vectors_and_counts_it(tiny):
    model = LoadedModel(tiny(chat=True), name="m", dtype="float32", device="cpu")
    model.tokenizer.chat_template += "{% if add_generation_prompt %}<think>\n{% endif %}"
    said = model.tokenizer("4?</think>\nAnswer: 5", add_special_tokens=False).input_ids
    forward = model._forward
    script = iter(())

    def scripted(*arguments, **options):
        logits = forward(*arguments, **options)
        return torch.full_like(logits, float("-inf")).index_fill(-1, torch.tensor(next(script)), 0.0)

    model._forward = scripted
    for encoder in (None, "expectation"):
        script = iter(said)
        engine = Engine(model)
        asked = Sampling(max_tokens=len(said), temperature=0.5)
        row = engine.prepare(Request(Prompt((ChatTurn("user", ("2+3?",)),)), asked, encoder))
        engine.add(row)
        while not engine.is_idle:
            engine.step()
        found = row.generation(model.fingerprint, model.tokenizer)
        message = found.message
        assert (message.thinking, message.text) == ("4?</think>\n", "Answer: 5")
        assert (message.thinking_tokens, found.usage.generated_tokens) == (11, len(said))
        assert model.tokenizer.decode(list(message.answer.token_ids)) == message.answer.text == "Answer: 5"
        assert message.whole.text == "4?</think>\nAnswer: 5"
        assert message.whole.num_tokens == len(said)
        assert from_bytes(to_bytes(message)) == message
        if encoder:
            assert torch.equal(message.answer.cipher.vectors, message.cipher.vectors[11:])
            assert message.num_bytes == message.answer.num_bytes
