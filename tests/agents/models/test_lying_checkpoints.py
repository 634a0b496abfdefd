"""Checkpoints whose files hold something else: a sentence, before their sizes cost time or memory."""

import copy
import json
import os
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.contracts import CONTRACTS

from agents.beliefs.cards import card, create_belief_backend
from agents.errors import DebateError, ModelError
from agents.hollow import no_larger_than
from agents.model_folder import read_config
from agents.models.stored import made_of, typed
from agents.observation import Audio
from agents.question import Question

NAMES = (
    "cass-nat-sampled", "fusion-sound", "lmuformer", "itransformer", "classical_forecasters", "passt", "crossvit", "tnt",
    "mp3", "mp3_order", "pluto", "put", "put_completions", "transkd",
    "text_encoder", "documents", "glyphs", "kalm", "functions-learner", "in-context-learner",
)  # fmt: skip
HUGE, LONGEST_S = 10**9, 2.0


def places(value, at=()):
    """Yield the path of each value."""
    yield at
    inner = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, each in inner:
        yield from places(each, (*at, key))


def at(value, place):
    for key in place:
        value = value[key]
    return value


def changed(value, place, new):
    value = copy.deepcopy(value)
    at(value, place[:-1])[place[-1]] = new
    return value


@pytest.fixture(params=NAMES)
def checkpoint(request, tmp_path):
    """A sound folder, and a function that makes the backend of it and asks it."""
    contract = CONTRACTS[request.param]
    for package in card(contract.backend).packages:
        pytest.importorskip(package)
    options = {**contract.options, **contract.prepare(tmp_path / "prepared")}
    if "checkpoint" not in options:
        create_belief_backend(contract.backend, **options).save_pretrained(tmp_path / "saved")
        options["checkpoint"] = str(tmp_path / "saved")
    case = contract.cases()[0]
    return Path(options["checkpoint"]), lambda: create_belief_backend(contract.backend, **options).believe([case])


def test_numbers_and_kinds_that_are_none_are_refused_in_a_moment(checkpoint):
    folder, believe = checkpoint
    believe()
    path = folder / "config.json"
    sound = json.loads(path.read_text())
    numbers = [each for each in places(sound) if each and type(at(sound, each)) in (int, float)]
    for place in [each for each in places(sound) if each and "labels" in each[-2:-1]] + numbers:
        for new in ([[]], HUGE) if place in numbers else ([[]],):
            path.write_text(json.dumps(changed(sound, place, new)))
            start = time.thread_time()
            with suppress(DebateError):
                believe()
            assert time.thread_time() - start < LONGEST_S, (place, new)


@pytest.mark.parametrize(
    "text", ["", "[1]", "[" * 100_000, '{"model":' * 50_000, '{"model": null}', '{"model": {"depth": NaN}}', "\ud800"]
)
def test_what_is_no_config_is_refused(tmp_path, text):
    (tmp_path / "config.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    save_file({"a": torch.ones(1)}, tmp_path / "model.safetensors")
    for backend in ("itransformer", "tnt", "fusion", "in_context", "discrete_functions", "mp3_order"):
        with pytest.raises(DebateError):
            create_belief_backend(backend, checkpoint=str(tmp_path))


def test_options_beside_the_weights_are_checked(tmp_path):
    CONTRACTS["itransformer"].prepare(tmp_path)
    sound = json.loads((tmp_path / "config.json").read_text())
    for change, sentence in (
        ({"zz": 1}, "'zz' is none of its options"),
        ({"step": "x\x1b[31m"}, r"step is 'x\\x1b\[31m'"),
        ({"labels": 5}, "labels is '5'"),
        ({"borders": [0.0, 1e999, 2.0]}, "not finite"),
        ({"step": 10**30}, "beyond"),
    ):
        (tmp_path / "config.json").write_text(json.dumps({**sound, **change}))
        with pytest.raises(ModelError, match=sentence):
            create_belief_backend("itransformer", checkpoint=str(tmp_path))


def test_an_option_of_another_kind_is_a_sentence(tmp_path):
    CONTRACTS["itransformer"].prepare(tmp_path)
    with pytest.raises(ModelError, match=r"belief backend 'itransformer' cannot be made of .* TypeError"):
        create_belief_backend("itransformer", checkpoint=str(tmp_path), borders=5)


def test_an_infinite_weight_is_refused(tmp_path):
    CONTRACTS["itransformer"].prepare(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    save_file({**weights, "spread": torch.full_like(weights["spread"], torch.inf)}, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match="spread holds what is no number"):
        create_belief_backend("itransformer", checkpoint=str(tmp_path))


def test_more_weights_than_the_files_hold_are_not_built():
    with no_larger_than(2, 6):
        torch.nn.Linear(3, 2)
    for build in (
        lambda: torch.nn.Linear(HUGE, 2),
        lambda: torch.nn.ModuleList([torch.nn.Linear(1, 1) for _ in iter(int, 1)]),
        lambda: [torch.nn.Linear(1, 1) for _ in iter(int, 1)],
        lambda: torch.nn.TransformerEncoder(torch.nn.TransformerEncoderLayer(2, 1, 2), HUGE),
        lambda: torch.randn(HUGE, 2),
        lambda: torch.zeros((HUGE,)),
        lambda: torch.arange(HUGE),
    ):
        with pytest.raises(ValueError, match="far more weights than its files hold"), no_larger_than(2, 6):
            build()
    torch.nn.Linear(3000, 3000)


def test_a_class_is_made_of_values_of_its_types():
    class Pair:
        def __init__(self, first: int, second: tuple[str, ...] = ()) -> None:
            self.both = first, second

    assert made_of(Pair, {"first": 1, "second": ["a"]}).both == (1, ("a",))
    for wrong in ({"first": True}, {"first": 1.5}, {"first": "1"}, {"first": 1, "second": "a"}, {"third": 1}):
        with pytest.raises(ValueError, match="is"):
            typed(Pair, wrong)
    with pytest.raises(ValueError, match="in place of a mapping"):
        made_of(Pair, [1])


def test_a_model_is_bounded_while_another_thread_builds_one():
    """Engines are started in threads of their own, and torch's hooks are everybody's."""
    begun, over = threading.Event(), threading.Event()

    def elsewhere():
        with no_larger_than(2, 6):
            begun.set()
            over.wait(10)

    class Slow(torch.nn.Parameter):
        def numel(self):
            over.set()
            other.join()
            return super().numel()

    other = threading.Thread(target=elsewhere)
    with no_larger_than(2, 6):
        other.start()
        assert begun.wait(10)
        torch.nn.Module().register_parameter("weight", Slow(torch.ones(2)))
        with pytest.raises(ValueError, match="far more weights"):
            torch.nn.Linear(HUGE, 2)


def test_more_layers_than_any_model_has_are_refused_and_a_table_for_each_layer_is_none(tmp_path):
    def read(**fields):
        (tmp_path / "config.json").write_text(json.dumps({"model_type": "gemma3n_text", **fields}))
        return read_config(tmp_path, name="m")

    assert read(num_hidden_layers=2, vocab_size_per_layer_input=262144, layer_types=["full_attention"] * 2)
    with pytest.raises(ModelError, match="num_hidden_layers: 1e\\+09; no model has more"):
        read(num_hidden_layers=HUGE)


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("tnt", ("config.json", "model.safetensors")),
        ("text_encoder_cloze", ("model.safetensors",)),
        ("passt_scenes", ("scenes.json", "scenes.safetensors")),
        ("langsamp", ("model.safetensors", "config.json")),
        ("programs", ("program.json",)),
    ],
)
def test_a_pipe_in_place_of_a_file_is_not_waited_for(tmp_path, name, files):
    contract = CONTRACTS[name]
    for package in card(contract.backend).packages:
        pytest.importorskip(package)
    options = {**contract.options, **contract.prepare(tmp_path / "prepared")}
    if "checkpoint" not in options:
        create_belief_backend(contract.backend, **options).save_pretrained(tmp_path / "saved")
        options = {"checkpoint": str(tmp_path / "saved")}
    for file in files:
        path = Path(options["checkpoint"]) / file
        if path.exists():
            path.unlink()
        os.mkfifo(path)
        said = []

        def ask(said=said):
            try:
                create_belief_backend(contract.backend, **options)
            except DebateError as error:
                said.append(str(error))

        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        asking.join(10)
        assert said, f"{file} is waited for"
        path.unlink()


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [
        ("tnt", ("model", "crop"), 1e-300),
        ("mp3", ("model", "crop"), 0.01),
        ("text_encoder_cloze", ("model", "encoder", "chosen"), True),
        ("text_encoder_cloze", ("temperature",), [1.0]),
    ],
)
def test_sizes_that_only_a_belief_would_meet_are_refused_when_it_is_loaded(tmp_path, name, place, value):
    contract = CONTRACTS[name]
    options = contract.prepare(tmp_path)
    path = Path(options["checkpoint"]) / "config.json"
    path.write_text(json.dumps(changed(json.loads(path.read_text()), place, value)))
    with pytest.raises(ModelError, match=f"{place[-1]}(:| is| .* to 1)"):
        create_belief_backend(contract.backend, **options)


def test_a_sound_may_be_shorter_than_a_transform(tmp_path):
    contract = CONTRACTS["passt"]
    options = contract.prepare(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(changed(json.loads(path.read_text()), ("model", "hop"), 7)))
    short = Question("short", "?", (Audio(torch.zeros(100), 8000),))
    for belief in create_belief_backend("passt", **options).believe([short, contract.cases()[0]]):
        assert sum(belief.probabilities) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "change", [lambda v: v.reshape(-1), lambda v: v[:1], lambda v: v[:, :4], lambda v: v * torch.nan]
)
def test_vectors_of_other_recordings_are_refused(tmp_path, change):
    contract = CONTRACTS["passt_scenes"]
    options = {**contract.options, **contract.prepare(tmp_path / "prepared")}
    create_belief_backend(contract.backend, **options).save_pretrained(tmp_path / "saved")
    path = tmp_path / "saved/scenes.safetensors"
    save_file({"vectors": change(load_file(path)["vectors"]).contiguous()}, path)
    with pytest.raises(DebateError, match="the vectors of the .* recordings known have .* finite numbers each"):
        create_belief_backend("passt_scenes", checkpoint=str(tmp_path / "saved"))


@pytest.mark.parametrize(
    ("name", "file", "place", "value", "said"),
    [
        ("glyphs", "glyphs.json", ("temperature",), "x", "temperature is 'x'"),
        ("kalm", "kalm.json", ("instruction",), 7, "instruction is '7'"),
        ("matryoshka_2d", "matryoshka_2d.json", ("encoder",), [[]], "mapping|no BERT"),
        ("langsamp", "langsamp.json", ("longest",), [], "longest is"),
        ("glyphs", "tokenizer.json", ("model", "vocab", " "), 1 << 31, "has a token 2147483648"),
        ("glyphs", "tokenizer.json", ("model", "vocab", " "), 5_000_000, "has a token 5000000, and its model"),
        ("kalm", "tokenizer.json", ("post_processor", "special_tokens"), {}, "the tokenizer"),
    ],
)
def test_settings_and_tokenizers_of_text_models_are_checked_when_they_are_loaded(
    tmp_path, name, file, place, value, said
):
    contract = CONTRACTS[name]
    options = contract.prepare(tmp_path)
    path = Path(options["checkpoint"]) / file
    path.write_text(json.dumps(changed(json.loads(path.read_text()), place, value)))
    start = time.thread_time()
    with pytest.raises(DebateError, match=said):
        create_belief_backend(contract.backend, **options)
    assert time.thread_time() - start < LONGEST_S
