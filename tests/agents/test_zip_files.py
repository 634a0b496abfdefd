"""Archives of recordings, pictures and questions: read within bounds, or refused in a sentence before they are unpacked."""

import gzip
import wave
import zipfile

import pytest
import torch

from agents.errors import ModelError, TaskError
from agents.models.sounds.examples import read_examples
from agents.models.sounds.spoken_digits import read_digits
from agents.models.transformer_programs.trec import read_trec
from agents.models.vision.cifar10 import read_cifar10
from agents.zip_files import open_zip, read_unzipped
from evals.tasks.spoken_digits import SpokenDigits

READERS = {"train.zip": read_digits, "test.zip": read_digits, "qc.zip": read_trec}


def sound(path, samples=100):
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, samples, "NONE", ""))
        file.writeframes(bytes(2 * samples))
    return path.read_bytes()


def packed(path, files, kind=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_what_is_too_much_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("it was unpacked"))
    bomb = bytes(11_000_000)
    packed(tmp_path / "train.zip", {"0_ada_0.wav": bomb, "qc/train.txt": bomb})
    with pytest.raises(ModelError, match=r"0_ada_0.wav: it has 11,000,000 bytes, and 10,000,000 are allowed"):
        read_digits(tmp_path, "train")
    (tmp_path / "train.zip").rename(tmp_path / "qc.zip")
    with pytest.raises(ModelError, match=r"qc/train.txt: it has 11,000,000 bytes"):
        read_trec(tmp_path, "train")
    for reader, name in ((read_digits, "a.wav"), (read_cifar10, "cat/a.png")):
        packed(tmp_path / "test.zip", {name: bytes(60_000_000)})
        monkeypatch.setattr("agents.zip_files.MOST_BYTES", 50_000_000)
        with (
            open_zip(tmp_path / "test.zip") as archive,
            pytest.raises(ModelError, match="60,000,000 bytes, and 50,000"),
        ):
            archive.names([".wav", ".png"], most=50_000_000)
        with pytest.raises(ModelError):
            reader(tmp_path, "test")
    monkeypatch.setattr("agents.zip_files.MOST_FILES", 2)
    packed(tmp_path / "test.zip", dict.fromkeys(("1_a_0.wav", "1_a_1.wav", "1_a_2.wav"), b""))
    with pytest.raises(ModelError, match="it has 3 files, and 2 are read"):
        read_digits(tmp_path, "test")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "no .wav in it"),
        ({"zero.wav": b""}, "zero.wav: a clip is called <digit>_<speaker>_<take>.wav"),
        ({"x_ada_0.wav": b""}, "a clip is called"),
        ({"1_ada_0.wav": b"RIFF"}, "not a WAV file"),
    ],
)
def test_an_archive_of_something_else_is_a_sentence(tmp_path, files, said):
    packed(tmp_path / "test.zip", files)
    with pytest.raises(TaskError, match=said):
        SpokenDigits(data=tmp_path).load()


def test_what_macos_keeps_beside_each_file_is_none_of_them(tmp_path):
    clip, kept = sound(tmp_path / "a.wav"), b"\0\5\x16\7"
    packed(tmp_path / "test.zip", {"t/1_ada_0.wav": clip, "__MACOSX/t/._1_ada_0.wav": kept})
    assert [each.name for each in read_digits(tmp_path, "test")] == ["1_ada_0"]


def test_clips_of_another_rate_than_a_model_takes_are_not_learned_from(tmp_path):
    """Read as if they had its rate they would be slower than what it is asked about."""
    packed(tmp_path / "train.zip", {"1_ada_0.wav": sound(tmp_path / "a.wav")})
    assert len(read_digits(tmp_path, "train", rate_hz=8000)) == 1
    with pytest.raises(ModelError, match=r"clips of 16000 Hz are learned from, and 1_ada_0\.wav has 8000: resample it"):
        read_digits(tmp_path, "train", rate_hz=16_000)


def test_two_clips_of_one_name_are_a_sentence(tmp_path):
    clip = sound(tmp_path / "a.wav")
    packed(tmp_path / "test.zip", {"1_ada_0.wav": clip, "more/1_ada_0.wav": clip})
    with pytest.raises(TaskError, match=r"two clips are called 1_ada_0\.wav; keep one"):
        SpokenDigits(data=tmp_path).load()


def test_a_damaged_archive_is_a_sentence(tmp_path):
    for content in (b"", b"PK", bytes(100)):
        for name in READERS:
            (tmp_path / name).write_bytes(content)
        for name, reader in READERS.items():
            with pytest.raises(ModelError, match="cannot read"):
                reader(tmp_path, name.removesuffix(".zip"))
    path = packed(tmp_path / "test.zip", {"1_ada_0.wav": sound(tmp_path / "a.wav")}, zipfile.ZIP_STORED)
    blob = bytearray(path.read_bytes())
    # A byte of what is packed, so that its checksum is another's.
    blob[100] ^= 1
    path.write_bytes(blob)
    with pytest.raises(ModelError, match="cannot read"):
        read_digits(tmp_path, "test")


def test_questions_of_another_kind_are_a_sentence(tmp_path):
    packed(tmp_path / "qc.zip", {"qc/train.txt": "NUM:count How many?\n\nODD:x What?\n"})
    with pytest.raises(ModelError, match="line 3: it begins with none of ABBR"):
        read_trec(tmp_path, "train")
    with pytest.raises(ModelError, match="there is no qc/test.txt in it"):
        read_trec(tmp_path, "test")
    packed(tmp_path / "qc.zip", {"qc/train.txt": "NUM:count How many?\n\n"})
    assert read_trec(tmp_path, "train") == [("number", "How many?")]


def test_recordings_of_a_table_lie_beside_it(tmp_path):
    sound(tmp_path / "secret.wav")
    home = tmp_path / "table"
    home.mkdir()
    (home / "link.wav").symlink_to(tmp_path / "secret.wav")
    sound(home / "one.wav")
    table = home / "table.csv"
    table.write_text("audio,answer\none.wav,cat\n")
    ((name, audio),) = read_examples(table)
    assert (name, len(audio.samples)) == ("cat", 100)
    assert not torch.count_nonzero(audio.samples)
    for stray in ("../secret.wav", str(tmp_path / "secret.wav"), "link.wav"):
        table.write_text(f"audio,answer\n{stray},cat\n")
        with pytest.raises(ModelError, match="lies outside"):
            read_examples(table)


def test_a_gzipped_text_is_unzipped_within_a_bound(tmp_path):
    (tmp_path / "ETTh1.csv.gz").write_bytes(gzip.compress(bytes(3_000_000)))
    with pytest.raises(ModelError, match=r"has more than 1,000,000 bytes"):
        read_unzipped(tmp_path / "ETTh1.csv.gz", most=1_000_000)
    for content in (b"", gzip.compress(b"date,OT\n")[:-9], gzip.compress(b"\xff\xfe"), b"no gzip"):
        (tmp_path / "input.txt.gz").write_bytes(content)
        if content:
            with pytest.raises(ModelError, match="cannot read"):
                read_unzipped(tmp_path / "input.txt.gz")
    (tmp_path / "input.txt").write_text("\ufeffwords")
    assert read_unzipped(tmp_path / "input.txt") == "words"
