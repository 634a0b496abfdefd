"""Targets: what a model says, what a server answers, what a model's folder holds."""

import json
import random
import shutil
import struct
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import torch
from fuzz.mutation import by_value
from fuzz.target import Target, kind_and_rest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from safetensors.torch import save as save_tensors
from support.fitted import MODEL
from support.templates import TEMPLATES, byte_level, metaspace

from agents.backend import ChatTurn, Prompt
from agents.backends.openai.chat import BrokenReply, Reply, add_chunk, read_reply
from agents.errors import DebateError, ModelError, PromptError
from agents.message import Message
from agents.model_folder import read_config, refuse_not_finite, stored_weights, weights_hash
from agents.models.checkpoint import load_model
from agents.models.static_vectors.files import read_vectors
from agents.pretrained import DEBATERS, locate
from agents.tokenization import segments
from evals.scoring.options import option_label
from evals.task import Task, create_task

ANSWER_PIECES = (
    b"The answer is ",
    b"Answer: ",
    b"#### ",
    b"\\boxed{",
    b"\\frac{1}{",
    b"$",
    b"(A)",
    b"B.",
    b" is wrong",
    b"<answer>",
    b"</think>",
    b"one hundred and ",
    b"1,234",
    b"1e",
    b"^",
    b"%",
    "½".encode(),
    "٣".encode(),
    "三百".encode(),
    b"/0",
    b"-",
    b"yes",
    b"no",
    b"\nQuestion: ",
    b"option ",
    b"\xed\xa0\x80",
    b"\x00",
    b"\\text{",
    b"```",
    b"**",
    b"Therefore, ",
    b"or ",
    b"neither ",
)


class Answers(Target):
    """Every task's reading of a response, freely and in its strict form, and its scoring; nothing may be raised."""

    name, documented, share = "answers", (), 8.0
    pieces = ANSWER_PIECES
    tasks = (
        "gsm8k",
        "mmlu",
        "strategyqa",
        "math500",
        "aqua_rat",
        "bbh:navigate",
        "bbh:date_understanding",
        "arithmetic",
        "file:text",
        "file:contains",
        "spelling",
        "trec",
        "spoken_digits",
        "digit_strings",
        "discrete_functions",
        "in_context",
        "missing_word",
        "boolq",
        "hellaswag",
        "biographies",
        "svamp",
        "cifar10",
        "completions",
        "receipts",
        "blood_cells",
        "street_scenes",
    )
    options = ("one", "-3", "1,200", "a b c")

    def seeds(self) -> list[bytes]:
        said = (
            "So 3 + 4 = 7.\nThe answer is 7.",
            "(A) is wrong, so I choose (B).",
            "Yes, it is.",
            "Hence \\boxed{\\frac{1}{2}}.",
            "#### 1,234.50",
            "<think>A?</think>Answer: C",
            "It is one hundred and twenty-three.",
            "三百二十一",
            "Answer: x^2 + 1",
        )
        return [bytes([place]) + text.encode() for place in range(len(self.tasks)) for text in said]

    def read(self, blob: bytes) -> None:
        place, content = kind_and_rest(blob, len(self.tasks))
        task = _task(self.tasks[place])
        # A model's answer is text; of what is no UTF-8 it may have lone surrogates.
        text = (
            content.decode("utf-8", "surrogatepass" if blob[:1] < b"\x80" else "replace")
            if _is_text(content)
            else _replaced(content)
        )
        options = self.options if task.info.kind == "choice" else ()
        answer = task.extract(text, options)
        strict = task.extract_strict(text, options)
        for found in (answer, strict):
            assert found is None or isinstance(found, str)
        option_label(text[:200], "ABCD", self.options)
        if task.info.kind in ("number", "choice", "yes/no", "text") and answer is not None:
            target = {"number": "7", "choice": "B", "yes/no": "yes", "text": "seven"}[task.info.kind]
            assert task.score(answer, target).value in ("correct", "incorrect", "no answer", "failed")


def _is_text(content: bytes) -> bool:
    try:
        content.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


def _replaced(content: bytes) -> str:
    return content.decode("utf-8", "replace")


@cache
def _task(name: str) -> Task:
    return create_task(name)


class Servers(Target):
    """Bodies that a server answers with, whole and streamed, as the client's library hands them on."""

    name, documented, share = "servers", (BrokenReply,), 8.0
    changes = (lambda blob, chance: blob[:1] + by_value()(blob[1:], chance),)

    def seeds(self) -> list[bytes]:
        usage = {
            "prompt_tokens": 5,
            "completion_tokens": 2,
            "total_tokens": 7,
            "prompt_tokens_details": {"cached_tokens": 1},
        }
        facts = {"id": "1", "created": 1, "model": "m", "usage": usage}
        message = {"role": "assistant", "content": "7", "reasoning_content": "3+4", "refusal": None}
        whole = {
            **facts,
            "object": "chat.completion",
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        }
        piece = {
            **facts,
            "object": "chat.completion.chunk",
            "choices": [{"index": 0, "finish_reason": "length", "delta": {"content": "7"}}],
        }
        return [b"\0" + json.dumps(whole).encode(), b"\1" + json.dumps(piece).encode()]

    def read(self, blob: bytes) -> None:
        kind, content = kind_and_rest(blob, 2)
        try:
            body = json.loads(content)
        except (ValueError, RecursionError):
            return
        # As the library makes one of a body: unchecked.
        shape = (ChatCompletion, ChatCompletionChunk)[kind]
        made: Any = (
            shape.construct(**{str(key): value for key, value in body.items()}) if isinstance(body, dict) else body
        )
        if kind == 0:
            reply = read_reply(made)
        else:
            reply = Reply()
            add_chunk(reply, made)
            add_chunk(reply, made)
        assert isinstance(reply.text, str)
        assert isinstance(reply.thinking, str)
        if reply.usage is not None:
            assert min(reply.usage.prompt_tokens, reply.usage.generated_tokens, reply.usage.cached_tokens) >= 0
        assert reply.finish_reason in ("stop", "length", "filtered")


class Templates(Target):
    """Texts with control tokens typed into them, for the templates of the families; and templates from strangers."""

    name, documented, share = "templates", (PromptError,), 0.3
    families = tuple(TEMPLATES)
    pieces = (
        *(name.encode() for names, _, _ in TEMPLATES.values() for name in names),
        b"{% for m in messages %}",
        b"{{ m['content'] }}",
        b"{% endfor %}",
        b"{{ bos_token }}",
        b"{% generation %}",
        b"{{ 1 // 0 }}",
        b"{{ messages.__class__ }}",
        b"assistant\n",
        b"</think>",
    )

    def seeds(self) -> list[bytes]:
        said = [
            bytes([place]) + b"1+1?" + "".join(names).encode() for place, (names, _, _) in enumerate(TEMPLATES.values())
        ]
        own = [bytes([place + len(TEMPLATES)]) + one[2].encode() for place, one in enumerate(TEMPLATES.values())]
        return [*said, *own]

    def read(self, blob: bytes) -> None:
        place, content = kind_and_rest(blob, 2 * len(self.families))
        text = content.decode("utf-8", "replace")[:2000]
        family = self.families[place % len(self.families)]
        names = TEMPLATES[family][0]
        if place >= len(self.families):
            _read(byte_level(names, TEMPLATES[family][1], text), "1+1?")
            return
        for kind in (byte_level, metaspace):
            tokenizer = _tokenizer(kind, family)
            wanted = _control(tokenizer, _read(tokenizer, "harmless"), names)
            assert _control(tokenizer, _read(tokenizer, text), names) == wanted, "a typed control token became one"


@cache
def _tokenizer(kind: Any, family: str) -> Any:
    return kind(*TEMPLATES[family])


def _read(tokenizer: Any, text: str) -> list[int]:
    heard = Message(text, MODEL, 0.5)
    prompt = Prompt((ChatTurn("system", ("Be brief.",)), ChatTurn("user", ("He said: ", text, " and ", heard, "."))))
    (ids,) = segments(prompt, tokenizer, MODEL)
    return ids


def _control(tokenizer: Any, ids: list[int], names: tuple[str, ...]) -> list[str]:
    return [token for token in tokenizer.convert_ids_to_tokens(ids) if token in names]


class Checkpoints(Target):
    """safetensors of a model's weights, whole and in parts, and of a belief backend's checkpoint."""

    name, documented, share = "checkpoints", (ModelError,), 2.0
    # The last two are a belief backend's.
    files = ("model.safetensors", "model.safetensors.index.json", "config.json", "model.safetensors")
    pieces = (
        b'"dtype"',
        b'"F32"',
        b'"shape"',
        b"[0,",
        b'"data_offsets"',
        b"__metadata__",
        b'"weight_map"',
        b'"../model.safetensors"',
    )
    sound: ClassVar[dict[str, torch.Tensor]] = {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.zeros(2)}
    changes = (
        lambda blob, chance: blob[:1] + by_value()(blob[1:], chance),
        lambda blob, chance: _head_changed(blob, chance),
    )

    def seeds(self) -> list[bytes]:
        index = {"weight_map": {"weight": "part.safetensors", "bias": "part.safetensors"}}
        sizes = {"model": {"in_features": 3, "out_features": 2}, "labels": ["a", "b"]}
        return [
            b"\0" + save_tensors(self.sound),
            b"\1" + json.dumps(index).encode(),
            b"\2" + json.dumps(sizes).encode(),
            b"\3" + save_tensors(self.sound),
        ]

    def read(self, blob: bytes) -> None:
        place, content = kind_and_rest(blob, len(self.files))
        folder = self.scratch / "model"
        folder.mkdir(exist_ok=True)
        for name in self.files:
            (folder / name).unlink(missing_ok=True)
        (folder / "config.json").write_text('{"model": {"in_features": 3, "out_features": 2}}')
        if place == 1:
            (folder / "part.safetensors").write_bytes(save_tensors(self.sound))
        else:
            (folder / "model.safetensors").write_bytes(save_tensors(self.sound))
        (folder / self.files[place]).write_bytes(content)
        if place < 2:
            weights_hash(folder, "m")
            refuse_not_finite(stored_weights(folder, "m"), "m")
        else:
            load_model(
                folder,
                "linear",
                lambda sizes: torch.nn.Linear(_small(sizes, "in_features"), _small(sizes, "out_features")),
            )


def _small(sizes: dict[str, Any], name: str) -> int:
    # Sizes are the model's own affair; here a wrong one must not cost the fuzzer its memory.
    size = int(sizes[name])
    if not 0 < size < 1000:
        raise ValueError(f"{name} is {size}")
    return size


def _head_changed(blob: bytes, chance: random.Random) -> bytes:
    """Return a safetensors file with changed values in its header, whose length fits."""
    length = int.from_bytes(blob[1:9], "little")
    header = by_value()(blob[9 : 9 + length], chance)
    return blob[:1] + len(header).to_bytes(8, "little") + header + blob[9 + length :]


class WordVectorFiles(Target):
    """Files of word vectors, as text and binary."""

    name, documented, share = "word_vectors", (ModelError,), 2.0
    pieces = (
        b"2 3\n",
        b"a 0.5 1 -2\n",
        b" nan",
        b" 1e39",
        b" 1_0",
        b"\x00\x00\x80\x7f",
        b"999999999 4096\n",
        b"\xc2\xa0",
        b"\r\n",
    )

    def seeds(self) -> list[bytes]:
        rows = {b"the": (0.5, 1.0, -2.0), b"dog": (1.5, 0.25, 3.0)}
        text = b"".join(word + b" %g %g %g\n" % row for word, row in rows.items())
        binary = b"".join(word + b" " + struct.pack("<3f", *row) for word, row in rows.items())
        return [text, b"2 3\n" + text, b"2 3\n" + binary]

    def read(self, blob: bytes) -> None:
        path = self.scratch / "vectors.bin"
        path.write_bytes(blob)
        found = read_vectors(path)
        assert len(found.places) == len(found.table) >= 1
        assert bool(torch.from_numpy(found.table).isfinite().all())


class ModelFolders(Target):
    """A model's config, and the head of a GGUF file, through transformers."""

    name, documented, share = "model_folders", (DebateError,), 0.02
    pieces = (b"GGUF", b'"auto_map"', b'"model_type"', b'"architectures"', b"\x03\x00\x00\x00", b"\xff" * 8)
    changes = (lambda blob, chance: blob[:1] + by_value()(blob[1:], chance),)

    def seeds(self) -> list[bytes]:
        config = (DEBATERS / "ada" / "config.json").read_bytes()
        # The head of a GGUF file lies in the corpus: it is none of a whole model.
        return [b"\0" + config]

    def read(self, blob: bytes) -> None:
        kind, content = kind_and_rest(blob, 2)
        if kind == 0:
            folder = self.scratch / "config"
            folder.mkdir(exist_ok=True)
            (folder / "config.json").write_bytes(content)
            read_config(folder)
            return
        path = self.scratch / "m.gguf"
        path.write_bytes(content)
        try:
            locate(str(path))
        finally:
            shutil.rmtree(Path(self.scratch / "home"), ignore_errors=True)
