"""Sound files, other rates, names of classes, scores of classes, and recordings of one's own in a debate."""

import asyncio
import json
import math
import struct

import pytest
import torch
from support.contracts import small_lmuformer, small_passt
from support.official_passt import official
from support.small_data import wav
from typer.testing import CliRunner

from agents.beliefs import sound_files
from agents.beliefs.cards import create_belief_backend
from agents.beliefs.sound_files import read_sound, resampled
from agents.errors import ModelError, ObservationError, TaskError, UnknownName
from agents.models.sounds.label_names import NAMED, label_names, labels_of
from agents.observation import Audio
from agents.question import Question
from debate.cli.app import app
from debate.config.load import load_config
from debate.config.shipped import configs_folder
from evals.evaluation import evaluate
from evals.task import create_task

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("soxr")


def tone(rate, hertz=440.0, seconds=1.0):
    return torch.sin(2 * math.pi * hertz * torch.arange(int(seconds * rate)) / rate)


def written(path, samples, rate, **options):
    soundfile.write(path, samples.numpy(), rate, **options)
    return path


def test_a_sound_at_another_rate_is_the_same_sound():
    found = resampled(Audio(tone(44_100), 44_100), 32_000)
    assert found.rate_hz == 32_000
    assert len(found.samples) == 32_000
    # Away from its ends.
    assert float((found.samples - tone(32_000))[2000:-2000].abs().max()) < 1e-3
    same = Audio(tone(8000), 8000)
    assert resampled(same, 8000) is same


@pytest.mark.parametrize("prepare", [small_passt, small_lmuformer])
def test_agents_hear_any_rate(tmp_path, prepare):
    backend = create_belief_backend(prepare.__name__.removeprefix("small_"), **prepare(tmp_path))
    sounds = [Audio(0.3 * tone(rate, 700.0), rate) for rate in (8000, 16_000, 44_100)]
    known, *others = backend.believe([Question("case", "?", (sound,)) for sound in sounds])
    for belief in others:
        assert belief.probabilities == pytest.approx(known.probabilities, abs=5e-3)


@pytest.mark.parametrize(
    ("name", "options"), [("x.wav", {"subtype": "PCM_24"}), ("x.wav", {"subtype": "FLOAT"}), ("x.flac", {})]
)
def test_files_of_other_kinds_are_read_and_channels_averaged(tmp_path, name, options):
    both = torch.stack([0.5 * tone(22_050), torch.zeros(22_050)], 1)
    found = read_sound(written(tmp_path / name, both, 22_050, **options).read_bytes(), source="x")
    assert found.rate_hz == 22_050
    assert torch.allclose(found.samples, 0.25 * tone(22_050), atol=1e-4)


def test_what_is_no_sound_is_a_sentence():
    with pytest.raises(ObservationError, match="x: not a sound file that can be read"):
        read_sound(b"spam" * 20, source="x")
    assert read_sound(wav(b"\0\x40"), source="x").samples.tolist() == [0.5]


def wav_that_says(count, pcm, rate=8000):
    """Return a WAV of one channel of 16 bits that says how many samples it has."""
    form = struct.pack("<HHIIHH", 1, 1, rate, 2 * rate, 2, 16)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", 2 * count) + pcm
    return b"RIFF" + struct.pack("<I", len(body)) + body


def test_half_a_sample_at_the_end_of_a_wav_is_cut():
    blob = bytearray(wav_that_says(16, b"\1\0" * 16 + b"\1"))
    blob[40:44] = struct.pack("<I", 33)
    assert read_sound(bytes(blob), source="x").samples.shape == (16,)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("x.wav", {"subtype": "PCM_16"}),
        ("x.wav", {"subtype": "FLOAT"}),
        ("x.wav", {"format": "WAVEX", "subtype": "PCM_16"}),
        ("x.flac", {}),
        ("x.ogg", {}),
        ("x.mp3", {}),
        ("x.aiff", {}),
        ("x.w64", {}),
        ("x.rf64", {}),
        ("x.au", {}),
    ],
)
def test_a_sound_that_was_cut_off_is_no_shorter_sound(tmp_path, name, options):
    blob = written(tmp_path / name, 0.5 * tone(16_000), 16_000, **options).read_bytes()
    assert len(read_sound(blob, source="x").samples) == 16_000
    for share in (0.5, 0.9):
        with pytest.raises(ObservationError, match=r"take the whole file|not a sound file"):
            read_sound(blob[: int(share * len(blob))], source="x")


def test_an_ogg_whose_end_is_not_marked_is_refused_with_what_marks_it(tmp_path):
    """As Android writes voice messages; what was cut off between two pages looks alike."""
    blob = bytearray(written(tmp_path / "x.ogg", 0.5 * tone(16_000), 16_000).read_bytes())
    last = blob.rfind(b"OggS")
    assert blob[last + 5] & 4
    blob[last + 5] &= ~4
    for unmarked in (bytes(blob), bytes(blob[:last])):
        with pytest.raises(
            ObservationError, match=r"x: its last page is not marked as the last \(`ffmpeg -i IN -c copy OUT"
        ):
            read_sound(unmarked, source="x")


def test_a_wav_out_of_a_pipe_is_read_to_its_end_and_one_that_says_less_is_refused():
    blob = bytearray(wav_that_says(16, b"\1\0" * 16))
    # As ffmpeg and sox write where they cannot go back to say how much it was.
    for whole, sound in ((0xFFFFFFFF, 0xFFFFFFFF), (0x7FFFFFFF, 0x7FFFFFDB)):
        blob[4:8], blob[40:44] = struct.pack("<I", whole), struct.pack("<I", sound)
        assert read_sound(bytes(blob), source="x").samples.shape == (16,)
    for whole, sound, sentence in ((68, 0, "no sound follows, and 32 bytes do"), (37, 32, "32 bytes does not fit")):
        blob[4:8], blob[40:44] = struct.pack("<I", whole), struct.pack("<I", sound)
        with pytest.raises(ObservationError, match=f"x: its .*{sentence}.*; take the whole file"):
            read_sound(bytes(blob), source="x")


def test_samples_that_are_no_share_of_full_volume_are_refused(tmp_path):
    loud = written(tmp_path / "x.wav", 4 * tone(8000), 8000, subtype="FLOAT").read_bytes()
    assert float(read_sound(loud, source="x").samples.max()) == pytest.approx(4, abs=0.01)
    whole = written(tmp_path / "x.wav", 32_767 * tone(8000), 8000, subtype="FLOAT").read_bytes()
    with pytest.raises(ObservationError, match="x: a sound's samples lie between -1 and 1; here one is 327"):
        read_sound(whole, source="x")


def test_a_part_of_a_wav_that_says_that_it_is_longer_than_the_file_is_a_sentence():
    blob = bytearray(wav_that_says(10, b"\1\0" * 10))
    # The fourth byte of the length of `fmt `.
    blob[19] = 1
    with pytest.raises(ObservationError, match="x: not a sound file that can be read"):
        read_sound(bytes(blob), source="x")


@pytest.mark.parametrize("said", [0, (1 << 36) - 1])
def test_what_a_head_says_of_a_sounds_length_is_not_relied_on(tmp_path, said):
    blob = bytearray(written(tmp_path / "x.flac", torch.zeros(5000), 8000).read_bytes())
    # Of the 36 bits of STREAMINFO that count the samples.
    blob[21] = (blob[21] & 0xF0) | said >> 32
    blob[22:26] = struct.pack(">I", said & 0xFFFFFFFF)
    try:
        assert read_sound(bytes(blob), source="x").samples.shape == (5000,)
    except ObservationError:
        # As libsndfile's version reads a head that lies.
        return


def test_a_sound_that_unpacks_to_any_length_is_refused_before_it_is_there(tmp_path, monkeypatch):
    blob = written(tmp_path / "x.flac", torch.zeros(200_000), 8000).read_bytes()
    assert len(blob) < 2000
    monkeypatch.setattr(sound_files, "MOST_SAMPLES", 100_000)
    with pytest.raises(ObservationError, match="more than 100,000 samples are not read"):
        read_sound(blob, source="x")


def test_a_sound_of_one_sample_a_second_that_would_be_days_is_refused():
    with pytest.raises(ObservationError, match="a sound of 1 Hz of more than 3 hours is not read"):
        read_sound(wav_that_says(10_801, b"\0" * 2 * 10_801, rate=1), source="x")


def test_names_of_classes_are_shipped():
    for name, count in NAMED.items():
        assert len(set(label_names(name))) == count
        assert labels_of(count, None) == labels_of(count, name) == label_names(name)
    assert labels_of(2, None) == ("class 0", "class 1")
    with pytest.raises(ModelError, match="3 classes; 35 labels were given"):
        labels_of(3, "speech_commands")
    with pytest.raises(UnknownName, match="unknown list of labels 'audioste'.*Did you mean 'audioset'"):
        labels_of(527, "audioste")


def test_classes_that_were_learnt_each_by_itself_have_sigmoids(tmp_path):
    options = small_passt(tmp_path)
    plain, own = (create_belief_backend("passt", **options, scores=kind) for kind in ("softmax", "sigmoid"))
    sound = Audio(tone(8000), 8000)
    with torch.inference_mode():
        scores = plain.class_scores(sound).double() / 0.7
    (one,), (other,) = plain.believe([Question("case", "?", (sound,))]), own.believe([Question("case", "?", (sound,))])
    assert one.probabilities == pytest.approx(scores.softmax(0).tolist())
    weights = scores.sigmoid()
    assert other.probabilities == pytest.approx((weights / weights.sum()).tolist())
    own.save_pretrained(tmp_path / "own")
    assert create_belief_backend("passt", checkpoint=str(tmp_path / "own")).believe(
        [Question("case", "?", (sound,))]
    ) == [other]
    with pytest.raises(UnknownName, match="unknown kind of scores 'sigmiod'"):
        create_belief_backend("passt", **options, scores="sigmiod")


def recordings(folder):
    """Write two tones in different formats, and a table of them."""
    folder.mkdir(exist_ok=True)
    written(folder / "a.wav", 0.3 * tone(16_000), 16_000, subtype="PCM_16")
    written(folder / "b.flac", 0.3 * tone(44_100, 900.0), 44_100)
    rows = [
        {"audio": "a.wav", "answer": "low"},
        {"audio": "b.flac", "answer": "high", "question": "Which tone?", "id": "b"},
    ]
    (folder / "sounds.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return folder


def test_own_recordings_are_a_task(tmp_path):
    task = create_task("sounds", data=recordings(tmp_path / "s"))
    one, two = task.samples()
    assert (one.target, two.target, two.id, two.question) == ("low", "high", "b", "Which tone?")
    assert task.labels(one) == ("low", "high")
    assert [sample.observations[0].rate_hz for sample in (one, two)] == [16_000, 44_100]
    for said, want in (("Answer: High.", "high"), ("low", "low"), ("Answer: lowly", None), ("hm", None)):
        assert task.extract(said) == want
    (tmp_path / "s" / "sounds.jsonl").unlink()
    bare = create_task("sounds:audioset", data=tmp_path / "s")
    assert [sample.target for sample in bare.samples()] == ["", ""]
    assert bare.extract("Answer: Male speech, man speaking") == "Male speech, man speaking"
    assert bare.extract("Answer: Speech synthesizer") == "Speech synthesizer"
    score = bare.score("Speech", "")
    assert (score.value, score.reason) == ("failed", "the recording has no answer to compare with")
    assert len(create_task("sounds", data=tmp_path / "s" / "b.flac").samples()) == 1


def test_answers_of_a_table_in_another_case_are_one_class(tmp_path):
    """A class that one row spells otherwise could never be answered there."""
    written(tmp_path / "a.wav", 0.3 * tone(16_000), 16_000)
    answers = ("Dog", "cat", "dog", "Dog bark", " CAT ")
    (tmp_path / "t.csv").write_text("audio,answer\n" + "".join(f"a.wav,{answer}\n" for answer in answers))
    task = create_task("sounds", data=tmp_path / "t.csv")
    samples = task.samples()
    assert task.labels(samples[0]) == ("Dog", "cat", "Dog bark")
    assert [sample.target for sample in samples] == ["Dog", "cat", "Dog", "Dog bark", "cat"]
    for sample, answer in zip(samples, answers, strict=True):
        assert task.score(task.extract(f"Answer: {answer}"), sample.target).value == "correct"


def test_what_is_wrong_with_recordings_is_a_sentence(tmp_path):
    def load(text, name="sounds"):
        (tmp_path / "t.csv").write_text(text)
        return create_task(name, data=tmp_path / "t.csv").samples()

    with pytest.raises(TaskError, match=r"t\.csv:2: no column audio\. It has: sound"):
        load("sound\na.wav\n")
    with pytest.raises(TaskError, match=r"t\.csv:2: cannot read .*a\.wav: No such file"):
        load("audio\na.wav\n")
    (tmp_path / "a.wav").write_bytes(b"spam" * 20)
    with pytest.raises(TaskError, match=r"t\.csv:2: .*a\.wav: not a sound file"):
        load("audio\na.wav\n")
    with pytest.raises(TaskError, match="'Barking' is none of the 35 classes of speech_commands"):
        load("audio,answer\na.wav,Barking\n", "sounds:speech_commands")
    with pytest.raises(TaskError, match="give a sound file, a folder of them or a table"):
        create_task("sounds").samples()
    (tmp_path / "empty").mkdir()
    with pytest.raises(TaskError, match=r"no \.wav, \.flac, \.ogg, \.mp3 and no table"):
        create_task("sounds", data=tmp_path / "empty").samples()


def test_official_files_debate_about_a_recording_on_the_command_line(tmp_path):
    for name, columns in (("passt", 99), ("passt-20sec", 200)):
        weights = {
            key: value + 1 if key == "norm.weight" else 20 * value
            for key, value in official(64, 1, 12, columns).items()
        }
        torch.save(weights, tmp_path / f"{name}.pt")
    path = written(tmp_path / "dog.wav", torch.stack([0.3 * tone(44_100)] * 2, 1), 44_100, subtype="PCM_24")
    asked = ["run", "-c", "specialists/sounds", "-t", "sounds:audioset", "--data", str(path)]
    for agent, name in (("passt", "passt"), ("passt20", "passt-20sec")):
        asked += ["--set", f"agents.{agent}.checkpoint={tmp_path / name}.pt"]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0, result.output
    said = result.output.split("decision: ")[1]
    assert said.startswith(label_names("audioset"))


def test_recordings_with_answers_are_scored(tmp_path):
    folder = recordings(tmp_path / "s")
    small_passt(tmp_path / "one")
    small_passt(tmp_path / "two", seed=1)
    settings = [
        f"agents.passt.checkpoint={tmp_path / 'one'}",
        f"agents.passt20.checkpoint={tmp_path / 'two'}",
        "task=sounds",
    ]
    found = load_config(configs_folder() / "specialists" / "sounds.yaml", settings)
    results = asyncio.run(evaluate(found, out=tmp_path / "run", data=folder))
    assert [result.total for result in results] == [2] * len(found.methods)
