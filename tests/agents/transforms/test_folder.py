"""A transformed model is a model folder like any other, made once, known by base and recipe, and refused in a sentence."""

import json
import shlex
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from agents import pretrained
from agents.backends.transformers.model import LoadedModel
from agents.errors import ConfigError, ModelError, UnknownName
from agents.model_folder import origin_of
from agents.transforms.base import copied_files
from agents.transforms.recipe import digest, parse_recipe
from agents.transforms.subject import Outcome


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "cache_home", lambda: tmp_path / "home")
    return tmp_path / "home"


def loaded(folder, name="m"):
    return LoadedModel(folder, name=name, dtype="float32", device="cpu", rows=4, insist=False)


SMALL = "optin(macs=0.5, uniform=True, rows=2, length=12)"


def test_the_folder_is_loaded_as_any_other_and_shares_the_base_s_table(tiny, tmp_path, home):
    base = tiny("llama", chat=True)
    name = pretrained.transformed(str(base), [SMALL])
    folder = pretrained.locate(name)
    one, other = loaded(folder), loaded(base)
    assert one.fingerprint.same_table(other.fingerprint)
    assert one.fingerprint.weights != other.fingerprint.weights
    assert one.tokenizer.chat_template == other.tokenizer.chat_template
    assert one.fingerprint.origin.startswith(
        f"{base} (weights {other.fingerprint.weights[:12]}) | optin(macs=0.5, uniform=True"
    )
    assert one.fingerprint.record()["origin"] == one.fingerprint.origin
    assert "origin" not in one.fingerprint.sender()
    assert other.fingerprint.origin == origin_of(base) == ""
    sizes = json.loads((folder / "config.json").read_text())
    assert sizes["num_key_value_heads"] < 2 or sizes["intermediate_size"] < 48
    card = (folder / "README.md").read_text()
    assert other.fingerprint.weights in card
    assert "optin(macs=0.5" in card
    assert pretrained.verify(folder) == []


def test_it_is_made_once_and_again_where_base_recipe_or_texts_differ(tiny, tmp_path, home):
    base = tmp_path / "base"
    shutil.copytree(tiny("llama"), base)
    said = []
    name = pretrained.transformed(str(base), [SMALL])
    folder = pretrained.locate(name, progress=said.append)
    assert len(said) == 2
    assert pretrained.locate(name, progress=said.append) == folder
    # Defaults written out are the same recipe, as is another way of writing the same name.
    assert pretrained.locate(f"{base}|{SMALL[:-1]}, seed=0)", progress=said.append) == folder
    assert len(said) == 2
    folders = {folder, pretrained.locate(f"{base}|{SMALL[:-1]}, seed=1)")}
    texts = tmp_path / "texts.txt"
    for content in ("a b c\nd e f\n", "a b c\nd e g\n"):
        texts.write_text(content)
        folders.add(pretrained.locate(f"{base}|{SMALL[:-1]}, calibration='{texts}')"))
    torch.manual_seed(9)
    weights = load_file(base / "model.safetensors")
    weights["model.norm.weight"] += 0.5
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    folders.add(pretrained.locate(name))
    for file, content in (("chat_template.jinja", "{{ messages }}"), ("generation_config.json", '{"eos_token_id": 7}')):
        (base / file).write_text(content)
        folders.add(pretrained.locate(name))
    assert len(folders) == 7
    # What does not go along changes nothing.
    (base / "notes.txt").write_text("secret")
    assert pretrained.locate(name) in folders
    assert not [folder for folder in folders if (folder / "notes.txt").exists()]


def test_transforms_follow_each_other_and_the_record_says_so(tiny, home):
    base = tiny("llama")
    folder = pretrained.locate(pretrained.transformed(str(base), [SMALL, "optin(macs=1.0)"]))
    record = json.loads((folder / "transform.json").read_text())
    assert [step["transform"].partition(",")[0] for step in record["steps"]] == ["optin(macs=0.5", "optin(macs=1.0"]
    again = pretrained.locate(f"{folder}|optin(macs=1.0)")
    assert json.loads((again / "transform.json").read_text())["base_made_by"] == record


def test_the_whole_budget_gives_the_same_beliefs_to_the_byte(tiny, home):
    base = tiny("llama")
    folder = pretrained.locate(f"{base} | optin(macs=1.0)")
    one, other = loaded(base), loaded(folder)
    ids = torch.tensor([[256, 72, 105, 33, 10, 50, 51]])
    with torch.inference_mode():
        beliefs = [
            torch.softmax(each.model(ids, use_cache=False).logits, -1).numpy().tobytes() for each in (one, other)
        ]
    assert beliefs[0] == beliefs[1]
    for key, weight in load_file(base / "model.safetensors").items():
        assert torch.equal(weight, load_file(folder / "model.safetensors")[key])


def shifts_the_table(subject, *, by: float = 1.0) -> Outcome:
    """Change what messages are made of."""
    subject.model.get_input_embeddings().weight.add_(by)
    return Outcome()


@pytest.mark.parametrize(
    ("recipe", "error", "sentence"),
    [
        ("optim(macs=0.5)", UnknownName, "unknown transform 'optim'. Known: .*optin.* Did you mean 'optin'"),
        (
            "optin(mac=0.5)",
            ConfigError,
            "transform 'optin' has no parameter 'mac'. It takes: macs, .* Did you mean 'macs'",
        ),
        ("optin(macs='half')", ConfigError, "macs must be of type float, e.g. 0.6; got 'half'"),
        ("optin(0.5)", ConfigError, "cannot read the transform"),
        ("", UnknownName, "unknown transform ''"),
        ("os:getcwd", ConfigError, "no transform"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused_before_anything_is_read(recipe, error, sentence):
    with pytest.raises(error, match=sentence):
        pretrained.locate(f"tiny/dee | {recipe}")


def shifts_the_output(subject, *, by: float = 1.0) -> Outcome:
    """Change what beliefs are read from."""
    subject.model.get_output_embeddings().weight.add_(by)
    return Outcome()


def stores_in_16_bits(subject, *, times: float = 1.0) -> Outcome:
    """Leave the weights as they are, and their type not."""
    subject.dtype = torch.bfloat16
    return Outcome()


def tells_of_nothing(subject, *, figure: float = 1.0) -> Outcome:
    """Divide zero by zero."""
    return Outcome({"error": float("nan")})


@pytest.mark.parametrize(
    ("transform", "sentence"),
    [
        ("shifts_the_output", "changes the output table"),
        ("stores_in_16_bits", "changes the embedding table"),
        ("tells_of_nothing", "reports a figure that is not finite"),
    ],
)
def test_a_step_that_changes_a_table_even_by_rounding_or_reports_nothing_is_refused(tiny, home, transform, sentence):
    with pytest.raises(ModelError, match=sentence):
        pretrained.locate(f"{tiny('llama-wide')} | {__name__}:{transform}")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_the_type_is_that_of_the_stored_weights_whatever_the_config_says(tiny, tmp_path, home, dtype):
    base = tmp_path / "base"
    shutil.copytree(tiny("llama"), base)
    weights = {key: weight.to(dtype) for key, weight in load_file(base / "model.safetensors").items()}
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((base / "config.json").read_text())
    wrong = "float32" if dtype == torch.bfloat16 else "bfloat16"
    (base / "config.json").write_text(json.dumps({**config, "dtype": wrong, "torch_dtype": wrong}))
    made = load_file(pretrained.locate(f"{base} | optin(macs=1.0)") / "model.safetensors")
    for key, weight in weights.items():
        assert made[key].dtype == dtype
        assert torch.equal(made[key], weight)


def test_weights_that_are_not_finite_are_refused_before_any_step(tiny, tmp_path, home):
    base = tmp_path / "base"
    shutil.copytree(tiny("llama"), base)
    weights = load_file(base / "model.safetensors")
    weights["model.norm.weight"][0] = float("nan")
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    said = []
    with pytest.raises(ModelError, match="not finite"):
        pretrained.locate(f"{base} | optin(macs=1.0)", progress=said.append)
    assert said == []


def test_generation_settings_go_along_as_they_are_even_where_they_contradict_each_other(tiny, tmp_path, home):
    base = tmp_path / "base"
    shutil.copytree(tiny("llama"), base)
    settings = '{"do_sample": false, "temperature": 0.7, "eos_token_id": 257}'
    (base / "generation_config.json").write_text(settings)
    folder = pretrained.locate(f"{base} | optin(macs=1.0)")
    assert (folder / "generation_config.json").read_text() == settings
    (base / "generation_config.json").unlink()
    assert not (pretrained.locate(f"{base} | optin(macs=1.0)") / "generation_config.json").exists()


def test_the_command_on_the_card_can_be_run_as_it_is(tiny, tmp_path, home):
    base = tmp_path / "a model's $HOME"
    shutil.copytree(tiny("llama"), base)
    texts = tmp_path / "a 'text'.txt"
    texts.write_text("one\ntwo\n")
    steps = [f"optin(macs=1.0, rows=2, calibration={str(texts)!r})", "svd(ratio=1.5)"]
    folder = pretrained.locate(pretrained.transformed(str(base), steps))
    (line,) = [line for line in (folder / "README.md").read_text().splitlines() if line.startswith("    debate")]
    debate, transform, model, *rest = shlex.split(line)
    assert (debate, transform, model, rest[-2:]) == ("debate", "transform", str(base), ["--out", "FOLDER"])
    record = json.loads((folder / "transform.json").read_text())
    assert rest[:-2:2] == ["--with", "--with"]
    assert [str(step.written) for step in parse_recipe(rest[1:-2:2])] == record["recipe"]


def test_the_sign_in_a_step_s_text_does_not_part_it_and_in_a_base_s_path_is_refused(tiny, tmp_path, home):
    assert pretrained.split_name("a/b|optin(calibration='x|y)|(')| svd(ratio=2.0)") == (
        "a/b",
        ["optin(calibration='x|y)|(')", "svd(ratio=2.0)"],
    )
    texts = tmp_path / "a|b.txt"
    texts.write_text("one\ntwo\n")
    pretrained.locate(f"{tiny('llama')} | {SMALL[:-1]}, calibration={str(texts)!r})")
    folder = tmp_path / "a|b"
    shutil.copytree(tiny("llama"), folder)
    assert pretrained.transformed(str(folder), []) == str(folder)
    with pytest.raises(ModelError, match="stands between a model and its transforms; rename it"):
        pretrained.transformed(str(folder), [SMALL])
    assert pretrained.transformed("tiny/dee | svd", ["optin"]) == "tiny/dee | svd | optin"


@pytest.mark.parametrize("name", ["~nosuchuser", "~nosuchuser/m | optin", "x" * 5000, "x" * 5000 + " | optin", "/a\0b"])
def test_names_that_no_file_can_have_are_unknown_models(name):
    with pytest.raises(ModelError, match="unknown model"):
        pretrained.locate(name)


@pytest.mark.parametrize(
    "written",
    ["{", "[]", "{}", '{"base": 1, "base_weights": "w", "recipe": ["x"], "digest": "d"}',
     '{"base": "b", "base_weights": "w", "recipe": "x", "digest": "d"}', "[" * 100_000],
)  # fmt: skip
def test_a_file_of_the_same_name_that_says_something_else_refuses_no_model(tiny, tmp_path, home, written):
    base = tmp_path / "base"
    shutil.copytree(tiny("llama"), base)
    (base / "transform.json").write_text(written)
    assert origin_of(base) == ""
    record = json.loads((pretrained.locate(f"{base} | optin(macs=1.0)") / "transform.json").read_text())
    assert "base_made_by" not in record


def test_an_origin_is_one_line_that_moves_no_cursor(tmp_path):
    record = {"base": "b\n\x1b[2J", "base_weights": "w", "recipe": ["x\u202e"], "digest": "d"}
    (tmp_path / "transform.json").write_text(json.dumps(record))
    assert origin_of(tmp_path) == "b \ufffd[2J (weights w) | x\ufffd"


def test_code_that_is_not_shipped_is_part_of_what_a_model_was_made_by(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    found = set()
    for body in ("pass", "return None"):
        (tmp_path / "my_transform.py").write_text(f"def mine(subject, *, by: float = 1.0):\n    {body}\n")
        found.add(digest("w", parse_recipe(["my_transform:mine"])))
    assert len(found) == 2


def test_a_base_that_cannot_be_is_refused(tiny, tmp_path, home):
    with pytest.raises(UnknownName, match="tiny/de'.*Did you mean"):
        pretrained.locate("tiny/de | optin(macs=0.5)")
    with pytest.raises(ModelError, match="optin knows the blocks of llama, mistral, qwen2 and qwen3 models"):
        pretrained.locate(f"{tiny('gpt2-absolute')} | optin(macs=0.5)")
    packed = tmp_path / "packed"
    shutil.copytree(tiny("llama"), packed)
    config = json.loads((packed / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "gptq", "bits": 4}
    (packed / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="is quantised already.*Take the model that it was made of"):
        pretrained.locate(f"{packed} | optin(macs=0.5)")
    with pytest.raises(ModelError, match="changes the embedding table"):
        pretrained.locate(f"{tiny('llama')} | {__name__}:shifts_the_table(by=0.5)")
    assert not [path for path in (home / "models").glob("transformed-*") if path.is_dir()]


def test_a_recipe_is_its_text_with_every_parameter():
    short, long = parse_recipe(["optin"]), parse_recipe(["optin(macs=0.6, seed=0)"])
    assert digest("w", short) == digest("w", long) != digest("x", short)
    assert digest("w", short) != digest("w", parse_recipe(["optin(macs=0.61)"]))


def test_a_folder_whose_name_has_the_sign_is_a_folder(tiny, tmp_path):
    folder = tmp_path / "a|b"
    shutil.copytree(tiny("llama"), folder)
    assert pretrained.locate(str(folder)) == folder
    assert pretrained.base_of(str(folder)) == str(folder)
    assert pretrained.base_of("tiny/dee | optin") == "tiny/dee"


def test_a_file_that_is_a_link_out_of_the_folder_does_not_go_along(tiny, tmp_path, home):
    base = tiny("llama", chat=True)
    (tmp_path / "secret").write_text("secret")
    (base / "LICENSE").symlink_to(tmp_path / "secret")
    with pytest.raises(ModelError, match="LICENSE is a link to .*secret, outside the model's folder"):
        pretrained.locate(pretrained.transformed(str(base), [SMALL]))
    # As the hub's cache has it: links of a snapshot to the blobs beside it.
    repo = tmp_path / "models--a--b"
    (repo / "blobs").mkdir(parents=True)
    (base / "LICENSE").unlink()
    shutil.move(base / "tokenizer.json", repo / "blobs" / "1")
    shutil.copytree(base, repo / "snapshots" / "main")
    (repo / "snapshots/main/tokenizer.json").symlink_to("../../blobs/1")
    assert repo / "snapshots/main/tokenizer.json" in copied_files(repo / "snapshots/main")
