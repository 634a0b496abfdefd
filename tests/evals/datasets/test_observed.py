"""Pictures and sounds that a table names: read beside it alone, a small copy kept in the run, and shown."""

import asyncio
import base64
import html
import io
import json
import os
import struct
import zipfile

import pytest
import torch
from support.small_data import streets, things, wav
from support.small_picture_models import THINGS, small_crossvit, small_tnt, small_transkd
from support.viewer_runs import config_of
from typer.testing import CliRunner

from agents.errors import RunError, TaskError
from agents.models.vision.camvid import CLASSES
from agents.models.vision.regions import REGIONS, region_of
from agents.observation import Audio, Image
from debate.cli.app import app
from debate.config.load import validate
from evals.datasets.observed import observations
from evals.datasets.rows import DataRow
from evals.evaluation import evaluate
from evals.sample import Sample
from evals.samples import PICTURE_SIDE, read_samples, read_shown, write_samples
from evals.task import create_task
from evals.viewer.export import write_export
from evals.viewer.run_view import RunView

pillow = pytest.importorskip("PIL.Image")


def png(colour, size=(20, 30)):
    file = io.BytesIO()
    pillow.new("RGB", size, colour).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def table(tmp_path):
    """Return what writes questions about pictures: rows → the path of their table."""
    folder = tmp_path / "own"
    (folder / "below").mkdir(parents=True)
    (folder / "red.png").write_bytes(png("red"))
    (folder / "below" / "blue.png").write_bytes(png("blue"))
    (tmp_path / "secret.png").write_bytes(png("green"))

    def written(*rows):
        (folder / "test.jsonl").write_text("\n".join(map(json.dumps, rows)))
        return folder / "test.jsonl"

    return written


def sized(width, height):
    """Return a PNG in base64 that says it has so many pixels, and has few bytes."""
    return base64.b64encode(
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height) + b"\x08\2\0\0\0"
    ).decode()


def row(**changes):
    return {"question": "What is it?", "answer": "cat", "image": "red.png", **changes}


def test_a_picture_beside_the_table_is_looked_at(table):
    path = table(row(), row(image="below/blue.png"), row(image=""), {"question": "Two?", "answer": "dog"})
    loaded = create_task("file:text", data=path).load()
    seen = [sample.observations for sample in loaded.samples]
    assert [len(each) for each in seen] == [1, 1, 0, 0]
    assert seen[0][0].pixels[:, 0, 0].tolist() == [1, 0, 0]
    assert seen[1][0].pixels[:, 0, 0].tolist() == [0, 0, 1]
    assert [sample.metadata.get("image") for sample in loaded.samples] == ["red.png", "below/blue.png", None, None]
    # The same words about another picture are another question; about the same one they are the same.
    assert (loaded.duplicates, loaded.notes) == (0, ())
    assert create_task("file:text", data=table(row(), row())).load().duplicates == 1


def test_columns_have_names_of_ones_own_and_options_stay_options(table):
    path = table({"q": "Which?", "gold": "cat", "options": ["cat", "dog"], "photo": "red.png"})
    task = create_task("file:choice", data=path.parent, columns={"question": "q", "answer": "gold", "image": "photo"})
    (sample,) = task.load().samples
    assert (sample.target, task.labels(sample), len(sample.observations)) == ("A", ("A", "B"), 1)
    with pytest.raises(TaskError, match="no column 'foto'"):
        create_task("file:choice", data=path, columns={"question": "q", "answer": "gold", "image": "foto"}).load()


def test_a_sound_beside_the_table_is_heard(table):
    path = table(row(audio="a.wav", image=None))
    (path.parent / "a.wav").write_bytes(wav(b"\0\x40"))
    (sample,) = create_task("file:text", data=path).load().samples
    assert [each.modality for each in sample.observations] == ["audio"]


def test_a_picture_in_the_table_itself_is_looked_at(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    cells = [{"bytes": png("red"), "path": "a.png"}, {"bytes": b"spam", "path": "b.png"}]
    columns = {"question": ["One?", "Two?"], "answer": ["cat", "dog"], "image": cells}
    parquet.write_table(arrow.table({name: values[:1] for name, values in columns.items()}), tmp_path / "t.parquet")
    (sample,) = create_task("file:text", data=tmp_path / "t.parquet").load().samples
    assert sample.observations[0].pixels.shape == (3, 30, 20)
    assert sample.metadata["image"] == "a.png"
    parquet.write_table(arrow.table(columns), tmp_path / "u.parquet")
    with pytest.raises(TaskError, match="column 'image': not a picture that can be read"):
        create_task("file:text", data=tmp_path / "u.parquet").load()


@pytest.mark.parametrize("column", ["image", "audio"])
@pytest.mark.parametrize(
    "path", ["../secret.png", "{above}/secret.png", "below/../../secret.png", "link.png", "~/x.png"]
)
def test_no_file_outside_the_folder_is_opened(table, tmp_path, column, path):
    own = table(row()).parent
    (own / "link.png").symlink_to(tmp_path / "secret.png")
    given = DataRow({column: path.format(above=tmp_path)}, 1, "t.jsonl:1")
    with pytest.raises(TaskError, match=r"t\.jsonl:1: .* lies outside .*own: what a table shows lies beside it"):
        observations(given, own)


def test_what_is_no_picture_is_a_sentence_with_its_row(table):
    for cell, sentence in (
        ("none.png", r"test\.jsonl:1: cannot read .*none\.png: No such file"),
        ("test.jsonl", r"test\.jsonl:1: .*test\.jsonl: not a picture that can be read"),
        ("below", r"test\.jsonl:1: cannot read .*below: it is no ordinary file"),
        ("a\0b", r"test\.jsonl:1: a path has no null character"),
        (["red.png"], r"test\.jsonl:1: "),
    ):
        with pytest.raises(TaskError, match=sentence):
            create_task("file:text", data=table(row(image=cell))).load()


@pytest.fixture
def played(table, tmp_path):
    """Return a run of two experts over two pictures of one's own."""
    options = ["a cat", "cat", "ship"]
    path = table(
        row(options=options), row(image="below/blue.png", answer="ship", options=["cat", "ship"], question="And here?")
    )
    for prepare in (small_crossvit, small_tnt):
        prepare(tmp_path / prepare.__name__)
    agents = {
        name: {"backend": name, "checkpoint": str(tmp_path / f"small_{name}"), "pool": "linear"}
        for name in ("crossvit", "tnt")
    }
    config = validate(
        {"backend": "mock", "model": "mock", "task": "file:choice", "rounds": 2, "agents": agents}, source="test"
    )
    asyncio.run(evaluate(config, out=tmp_path / "run", methods=["cipher"], data=path))
    return tmp_path / "run"


def test_ones_own_pictures_are_debated_and_shown(played, tmp_path):
    view = RunView(played)
    first, second = view.index.questions()
    debate = view.debate("cipher", second)
    # Its options are classes of both, so that a letter is believed.
    assert {turn["answer"] for turn in debate["turns"]} <= {"A", "B"}
    kind, _, content = debate["question"]["picture"].partition(",")
    assert kind == "data:image/png;base64"
    shown = pillow.open(io.BytesIO(base64.b64decode(content)))
    assert (shown.size, shown.getpixel((3, 3))) == ((20, 30), (0, 0, 255))
    assert view.debate("cipher", first)["question"]["picture"] != debate["question"]["picture"]
    result = CliRunner().invoke(app, ["show", str(played)])
    assert "image: below/blue.png" in result.output
    found = json.loads(CliRunner().invoke(app, ["show", str(played), "--json"]).output)
    assert [each["looked_at"] for each in found["debates"]] == [{"image": "red.png"}, {"image": "below/blue.png"}]
    # The page that a report and an export are has it among its debates; its policy lets nothing be fetched.
    assert view.whole("cipher", second, alternatives=1)[0]["question"]["picture"] == debate["question"]["picture"]
    write_export({"run": view}, tmp_path / "page.html")
    page = html.unescape((tmp_path / "page.html").read_text())
    assert "img-src 'self' blob: data:; connect-src 'none'" in page


def test_a_run_keeps_a_small_copy_and_reads_no_other_text_for_one(tmp_path):
    large = Image(torch.rand(3, 400, 200, generator=torch.Generator().manual_seed(0)))
    write_samples(tmp_path, [Sample("a", "What?", "x", observations=(large,)), Sample("b", "And?", "y")])
    (sample, picture), (_, none) = read_shown(tmp_path)
    assert sample == Sample("a", "What?", "x")
    assert none == ""
    assert pillow.open(io.BytesIO(base64.b64decode(picture))).size == (PICTURE_SIDE // 2, PICTURE_SIDE)
    file = tmp_path / "samples.jsonl"
    for forged in (
        "x",
        picture + '"><script>',
        "javascript:alert(1)",
        picture[:200] * 400,
        7,
        "PHN2Zz48L3N2Zz4=",
        picture[:30],
        sized(PICTURE_SIDE + 1, 4),
        sized(4, 19_000),
        sized(0, 4),
        sized(1 << 31, 1),
    ):
        line = json.loads(file.read_text().splitlines()[0])
        file.write_text(json.dumps({**line, "picture": forged}) + "\n")
        with pytest.raises(RunError, match=r"samples\.jsonl:1: a damaged line"):
            read_samples(tmp_path)
        write_samples(tmp_path, [Sample("a", "What?", "x", observations=(large,))])


def test_cifar_asks_which_of_ten_things(tmp_path):
    task = create_task("cifar10", data=things(tmp_path))
    samples = task.samples()
    assert len(samples) == 10
    assert {sample.target for sample in samples} == set(THINGS) == set(task.labels(samples[0]))
    assert samples[0].question.endswith(", ".join(THINGS))
    assert [sample.id for sample in samples] == [
        sample.id for sample in create_task("cifar10", data=tmp_path).samples()
    ]
    assert [s.id for s in samples] != [s.id for s in create_task("cifar10", data=tmp_path, seed=1).samples()]
    assert len(create_task("cifar10", data=tmp_path, split="train").samples()) == 30
    for said, want in (
        ("Answer: Ship.", "ship"),
        ("It is a car", "automobile"),
        ("a cat or a dog", None),
        ("cat? no. Answer: a dog, not a cat", "dog"),
        ("Answer: castle", None),
    ):
        assert task.extract(said) == want
    with pytest.raises(TaskError, match="give a folder with train.zip and test.zip"):
        create_task("cifar10").samples()
    with pytest.raises(TaskError, match="the pictures are not there"):
        create_task("cifar10", data=tmp_path / "none").samples()


def test_pictures_are_harmed_the_same_in_every_run(tmp_path):
    things(tmp_path)
    plain = {sample.id: sample.observations[0].pixels for sample in create_task("cifar10", data=tmp_path).samples()}
    for variant in ("noise-0.2", "hidden-0.25", "hidden-0.5"):
        once, again = (
            {s.id: s.observations[0].pixels for s in create_task(f"cifar10:{variant}", data=tmp_path).samples()}
            for _ in range(2)
        )
        assert all(torch.equal(once[name], again[name]) for name in plain)
        changed = {name: (once[name] != plain[name]).any(0) for name in plain}
        if variant.startswith("noise"):
            differences = torch.stack([once[name] - plain[name] for name in plain])
            assert float(differences.std()) == pytest.approx(0.2, abs=0.03)
        else:
            share = float(variant.partition("-")[2])
            for name, where in changed.items():
                rows, columns = where.any(1).nonzero(), where.any(0).nonzero()
                side = round((share * 1024) ** 0.5)
                assert int(rows.max() - rows.min()) < side
                assert int(columns.max() - columns.min()) < side
                assert (once[name][:, where] == 0.5).all()
            assert len({tuple(where.nonzero()[0].tolist()) for where in changed.values()}) > 3


def test_street_scenes_ask_what_takes_up_most_of_a_region(tmp_path):
    """The street of `streets`: sky over a building over road; a car at the right of the road, and no label at the top left."""
    task = create_task("street_scenes", data=streets(tmp_path))
    loaded = task.load()
    right = {sample.metadata["region"]: sample.target for sample in loaded.samples}
    assert right == {
        "top middle": "sky", "top right": "sky", "middle": "building", "middle right": "building", "bottom left": "road",
        "bottom middle": "road", "bottom right": "car", "bottom": "road",
    }  # fmt: skip
    # A tie of tree and building, of three classes, or of which a third has no label.
    assert (loaded.rows_in, loaded.removed) == (len(REGIONS), {"no plain answer": 5})
    for number, sample in enumerate(loaded.samples):
        region = sample.metadata["region"]
        assert (
            sample.question
            == f"Picture {number + 1}: which of these takes up most of the {region}? {', '.join(CLASSES)}"
        )
        assert region_of(sample.question) == region
        assert sample.metadata["image"] == f"test/0000, {region}"
        assert sample.observations[0].pixels.shape == (3, 36, 48)
    assert {
        len(create_task("street_scenes", data=tmp_path, split=split).load().samples)
        for split in ("train", "validation")
    } == {16}
    noisy = create_task("street_scenes:noise-0.2", data=tmp_path).samples()
    assert [sample.id for sample in noisy] == [sample.id for sample in loaded.samples]
    # All questions about a frame show it with the same harm.
    assert len({sample.observations[0].pixels.sum().item() for sample in noisy}) == 1
    assert not torch.equal(noisy[0].observations[0].pixels, loaded.samples[0].observations[0].pixels)
    for said, want in (("Answer: Sky.", "sky"), ("a sidewalk", "pavement"), ("road or tree", None)):
        assert task.extract(said) == want
    with pytest.raises(TaskError, match=r"give a folder with camvid_mini\.zip"):
        create_task("street_scenes").samples()
    with pytest.raises(TaskError, match="the frames are not there"):
        create_task("street_scenes", data=tmp_path / "none").samples()


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"train/a.png": (3, 8)}, r"no test/\*\.png in it"),
        ({"test/a.png": (3, 8)}, r"there is no testannot/a\.png in it"),
        ({"test/a.png": (3, 8), "testannot/a.png": (3, 9)}, "it has 9 x 9 pixels, and its frame has 8 x 8"),
        ({"test/a.png": (3, 8), "testannot/a.png": (12, 8)}, "its pixels are classes, grey from 0 to 11"),
    ],
)
def test_frames_that_cannot_be_used_are_sentences(tmp_path, files, sentence):
    with zipfile.ZipFile(tmp_path / "camvid_mini.zip", "w") as archive:
        for name, (grey, side) in files.items():
            archive.writestr(name, png((grey, grey, grey), (side, side)))
    with pytest.raises(TaskError, match=sentence):
        create_task("street_scenes", data=tmp_path).samples()


def test_a_region_that_is_debated_is_named_beside_its_picture(tmp_path):
    streets(tmp_path)
    for seed, name in enumerate(("one", "other")):
        small_transkd(tmp_path / name, seed=seed, labels=CLASSES)
    agents = {
        name: {"backend": "transkd", "checkpoint": str(tmp_path / name), "pool": "linear"} for name in ("one", "other")
    }
    given = {"backend": "mock", "model": "mock", "task": "street_scenes", "rounds": 2, "agents": agents}
    config = validate(given, source="test")
    asyncio.run(evaluate(config, out=tmp_path / "run", methods=["cipher"], data=tmp_path, limit=2))
    view = RunView(tmp_path / "run")
    shown = CliRunner().invoke(app, ["show", str(tmp_path / "run")]).output
    for question in view.index.questions():
        debate = view.debate("cipher", question)
        assert debate["question"]["picture"].startswith("data:image/png;base64")
        region = region_of(debate["question"]["text"])
        assert f"image: test/0000, {region}" in shown
        assert {turn["answer"] for turn in debate["turns"]} <= set(CLASSES)


def test_the_real_streets_are_read(benchmark):
    folder = benchmark("camvid_mini/camvid_mini.zip").parent
    loaded = create_task("street_scenes", data=folder).load()
    assert loaded.rows_in == 20 * len(REGIONS)
    assert {"sky", "building", "road", "tree"} <= {sample.target for sample in loaded.samples}


def test_the_real_pictures_are_read(benchmark):
    folder = benchmark("cifar10_mini/test.zip").parent
    samples = create_task("cifar10", data=folder).samples()
    assert len(samples) == 1000
    assert {sum(sample.target == name for sample in samples) for name in THINGS} == {100}
    assert create_task("cifar10", data=folder.parent).samples(3)[0].id == samples[0].id


def test_questions_in_words_have_no_picture(tmp_path):
    asyncio.run(evaluate(config_of(task="arithmetic"), out=tmp_path / "run", methods=["single"], limit=1))
    view = RunView(tmp_path / "run")
    (question,) = view.index.questions()
    assert view.debate("single", question)["question"]["picture"] is None


@pytest.mark.parametrize("column", ["image", "audio"])
@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("~nosuchuser/x.png", "'~nosuchuser/x.png' is no path: "),
        ("~a\0/x.png", "a path has no null character"),
        ("\ud800.png", r"'\\ud800.png' is no path: "),
        ("\udc80.png", r"'\\udc80.png' is no path: "),
        (["red.png"], "column '.*' is a path, or .*; this is a list"),
        ({"bytes": "cmVk", "path": "red.png"}, "column '.*' is a path, or .*; this is a dict"),
        ({"bytes": None, "path": None}, "column '.*' has neither bytes nor a path"),
        ({}, "column '.*' has neither bytes nor a path"),
        ({"bytes": None, "path": "../secret.png"}, "lies outside"),
        ({"bytes": None, "path": ["red.png"]}, "this is a list"),
        (7, "this is a int"),
        (None, " is empty"),
        ("x" * 5000, "File name too long"),
    ],
)
def test_a_value_that_is_no_path_is_a_sentence_with_its_row(table, column, value, sentence):
    own = table(row()).parent
    with pytest.raises(TaskError, match=rf"^t\.jsonl:1: (?s:.*){sentence}"):
        observations(DataRow({column: value}, 1, "t.jsonl:1"), own)


def test_the_hubs_other_form_is_the_path(table):
    path = table(row(image={"bytes": None, "path": "below/blue.png"}))
    (sample,) = create_task("file:text", data=path).load().samples
    assert sample.observations[0].pixels[:, 0, 0].tolist() == [0, 0, 1]
    assert sample.metadata["image"] == "below/blue.png"


def test_pictures_in_a_table_without_paths_are_told_apart(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    cells = [{"bytes": png(colour), "path": None} for colour in ("red", "blue", "red")]
    columns = {"question": ["What?"] * 3, "answer": ["cat"] * 3, "image": cells}
    types = arrow.schema(
        {
            "question": arrow.string(),
            "answer": arrow.string(),
            "image": arrow.struct({"bytes": arrow.binary(), "path": arrow.string()}),
        }
    )
    parquet.write_table(arrow.table(columns, schema=types), tmp_path / "t.parquet")
    loaded = create_task("file:text", data=tmp_path / "t.parquet").load()
    (note,) = loaded.notes
    assert (len(loaded.samples), loaded.duplicates) == (3, 1)
    assert "row 3: the question of" in note


def test_the_file_that_was_looked_at_is_opened_and_no_link_put_in_its_place(table, tmp_path, monkeypatch):
    own = table(row()).parent
    (own / "way").symlink_to(own / "red.png")
    real = os.path.realpath

    def changed(path, **options):
        """Return the place of a file; what stands there is another a moment later."""
        found = real(path, **options)
        if found == str(own / "red.png"):
            (own / "red.png").unlink()
            (own / "red.png").symlink_to(tmp_path / "secret.png")
        return found

    monkeypatch.setattr(os.path, "realpath", changed)
    with pytest.raises(TaskError, match="cannot read .*: .*symbolic link"):
        observations(DataRow({"image": "way"}, 1, "t.jsonl:1"), own)


def test_what_the_user_names_may_be_a_link(tmp_path):
    """As a download keeps it: the names are links to files elsewhere. What a table says still stays in its folder."""
    blobs, snap = tmp_path / "blobs", tmp_path / "snap"
    blobs.mkdir()
    snap.mkdir()
    (blobs / "1").write_bytes(wav(b"\0\x40"))
    (snap / "dog.wav").symlink_to(blobs / "1")
    (tmp_path / "link").symlink_to(snap)
    for named in (snap / "dog.wav", snap, tmp_path / "link", tmp_path / "link" / "dog.wav"):
        (sample,) = create_task("sounds", data=named).samples()
        assert (sample.metadata["audio"], len(sample.observations)) == ("dog.wav", 1)
    (snap / "sounds.jsonl").write_text('{"audio": "dog.wav", "answer": "dog"}\n')
    for named in (snap, snap / "sounds.jsonl", tmp_path / "link"):
        with pytest.raises(TaskError, match=r"sounds\.jsonl:1: .*dog\.wav lies outside"):
            create_task("sounds", data=named).samples()
    (snap / "dog.wav").unlink()
    (snap / "dog.wav").write_bytes(wav(b"\0\x40"))
    (tmp_path / "table.jsonl").symlink_to(snap / "sounds.jsonl")
    assert create_task("sounds", data=tmp_path / "link").samples()[0].target == "dog"
    with pytest.raises(TaskError, match=r"table\.jsonl:1: cannot read .*dog\.wav: No such file"):
        create_task("sounds", data=tmp_path / "table.jsonl").samples()


def test_a_run_is_not_continued_over_other_pictures(tmp_path):
    def asked(colour, sound=0.0, count=1):
        look, hear = Image(torch.full((3, 4, 4), colour)), Audio(torch.full((8,), sound), 8000)
        return [Sample("a", "What?", "2", observations=(look, hear)), Sample("b", "1+1?", "2")][:count]

    def play(samples):
        return asyncio.run(evaluate(config_of(), out=tmp_path / "run", methods=["single"], samples=samples))

    play(asked(0.5))
    file = tmp_path / "run" / "samples.jsonl"
    for other in (asked(0.501), asked(0.5, sound=0.1), [Sample("a", "What?", "2")]):
        with pytest.raises(RunError, match="its question 1 is 'a' .*, and now the same words about another picture"):
            play(other)
    play(asked(0.5))
    play(asked(0.5, count=2))
    plain = json.loads(file.read_text().splitlines()[1])
    assert set(plain) == {"id", "question", "target", "options", "metadata"}
    with pytest.raises(RunError, match="its question 2 is 'b' .*, and now the same words about another picture"):
        play([asked(0.5)[0], Sample("b", "1+1?", "2", observations=asked(0.5)[0].observations[:1])])
    # A run that kept no digest is told by the small copies of its pictures.
    first, second = map(json.loads, file.read_text().splitlines())
    assert len(first.pop("observed")) == 64
    file.write_text("\n".join(map(json.dumps, (first, second))) + "\n")
    with pytest.raises(RunError, match="another picture"):
        play(asked(0.6, count=2))
    play(asked(0.5, count=2))
    for forged in ("x", 7, "0" * 63):
        file.write_text(json.dumps({**first, "observed": forged}) + "\n")
        with pytest.raises(RunError, match="a damaged line"):
            read_samples(tmp_path / "run")
