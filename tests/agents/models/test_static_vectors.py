"""Files of word vectors in every form, made here; what comes from elsewhere and cannot be; means and beliefs."""

import struct

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.beliefs.cards import create_belief_backend, create_text_embedding
from agents.errors import BeliefError, ConfigError, ModelError
from agents.models.static_vectors.backend import SMOOTHING, StaticEmbedding, StaticVectors
from agents.models.static_vectors.files import WordVectors, read_vectors, write_vectors
from agents.observation import Text
from agents.question import Question

WORDS = {
    "the": (0.1, -0.2, 0.3),
    "dog": (1.0, 0.5, -0.25),
    "cat": (0.9, 0.6, -0.2),
    "Barks": (-0.5, 1.5, 2.0),
    "naïve": (0.0, -1.0, 1e-3),
}
TEXT = "".join(f"{word} {' '.join(map(str, row))}\n" for word, row in WORDS.items())
BINARY = b"".join(word.encode() + b" " + struct.pack("<3f", *row) + b"\n" for word, row in WORDS.items())
FILES = {
    "word2vec text": f"5 3\n{TEXT}".encode(),
    "fastText": f"5 3\n{TEXT}".replace("\n", " \n").replace("5 3 \n", "5 3\n").encode(),
    "GloVe": TEXT.encode(),
    "GloVe of Windows": TEXT.replace("\n", "\r\n").encode(),
    "without a last newline": TEXT[:-1].encode(),
    "word2vec binary": b"5 3\n" + BINARY,
    "binary of gensim": b"5 3\n" + BINARY.replace(b"\n", b""),
}


@pytest.fixture
def written(tmp_path):
    def write(content, name="vectors.txt"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize("kind", FILES)
def test_every_form_is_read_to_the_last_bit(kind, written):
    found = read_vectors(written(FILES[kind]))
    assert list(found.places) == list(WORDS)
    assert found.table.dtype == np.float32
    assert np.array_equal(found.table, np.array(list(WORDS.values()), dtype=np.float32))


def test_words_with_spaces_and_words_that_are_numbers(written):
    found = read_vectors(written("12 4 5 6\nat name@domain.com 7 8 9\n. . . 1 2 3\n"))
    assert list(found.places) == ["12", "at name@domain.com", ". . ."]
    # Two whole numbers in the first line are a header.
    one = read_vectors(written("2 1\na 0.5\nb 1\n"))
    assert (list(one.places), one.table.tolist()) == (["a", "b"], [[0.5], [1.0]])


@pytest.mark.parametrize("kind", ["word2vec text", "GloVe", "word2vec binary"])
def test_a_mark_of_byte_order_is_no_part_of_the_first_word(kind, written):
    assert list(read_vectors(written(b"\xef\xbb\xbf" + FILES[kind])).places) == list(WORDS)


def test_the_first_words_alone(written):
    for kind in ("word2vec text", "GloVe", "word2vec binary"):
        found = read_vectors(written(FILES[kind]), most=2)
        assert list(found.places) == ["the", "dog"]
        assert found.table.shape == (2, 3)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "its vectors would have -1 numbers"),
        ("word\n", "its vectors would have 0 numbers"),
        ("2 3\na 1 2 3\n", "its header says 2 words, and it has 1"),
        ("1 3\na 1 2 3\nb 1 2 3\n", "its header says 1 words, and it has 2"),
        ("99999999999 3\na 1 2 3\n", "its header says 99,999,999,999 words; at most 20,000,000 are read"),
        ("1 100000\na 1 2 3\n", "its vectors would have 100,000 numbers; between 1 and 4,096"),
        ("a 1 2 3\nb 1 2\n", "line 2 of its words has 2 numbers, and the first has 3"),
        ("a 1 2 3\nb 1 two 3\n", "line 2 of its words has 'two' for a number"),
        ("a 1 2 3\nb 1 1_0 3\n", "line 2 of its words has '1_0' for a number"),
        ("a 1 2 3\nb 1 nan 3\n", "the vector of 'b', word 2, has a number that is not finite"),
        ("a 1 2 3\nb 1 1e39 3\n", "the vector of 'b', word 2, has a number that is not finite in float32"),
        ("a 1 2 3\nb 1 -inf 3\n", "not finite"),
        ("a 1 2 3\nb 4 5 6\na 7 8 9\n", "the word 'a' comes twice, as word 1 and as word 3; give duplicates: first"),
        ("2 3\nthe 1 2 3\ndog 9 4 5 6\n", "line 2 of its words has more than 3 numbers, or 'dog 9' for a word, in which '9'"),
        ("2 3\ndog 9 4 5 6\nthe 1 2 3\n", "line 1 of its words has more than 3 numbers"),
        ("a 1 2\nb 3 4 5\n", "line 2 of its words has more than 2 numbers, or 'b 3' for a word"),
        ("a 1 2 3\nb 7 nan 4 5 6\n", "in which '7' reads as a number"),
        ("a 1 2 3\n. 7 . 4 5 6\n", "in which '7' reads as a number"),
        ("a 1 2 3\n b 4 5 6\n", "line 2 of its words begins with a space"),
        ("1 3\nthe 0,1 -0,2 0,3\n", "line 1 of its words has '0,1' for a number"),
        (f"2 3\nthe {'é' * 2500} 0,1 0,2 0,3\n", "line 1 of its words"),
        (b"1 3\nna\xefve 1 2 3\n", "word 1 is no text in UTF-8"),
        ("a 1 2 3\n\nb 4 5 6\n", "line 2 of its words is empty"),
        (f"a 1 2 3\n{'x' * 5000} 4 5 6\n", "line 2 of its words is longer than"),
        (f"a 1 2 3\n{'x' * 1050} 4 5 6\n", "word 2 has 1,050 bytes"),
        (b"a 1 2 3\n\xff\xfe 4 5 6\n", "word 2 is no text in UTF-8"),
        (b"5 3\n" + BINARY[:-6], "it ends in the vector of word 5 of 5"),
        (b"6 3\n" + BINARY, "it ends in word 6 of 6"),
        (b"4 3\n" + BINARY, "its header says 4 words, and more follows"),
        (b"2 3\nab " + struct.pack("<3f", 1, float("nan"), 2) + b"c" * 2000, "has a number that is not finite"),
        (b"2 3\nab " + struct.pack("<3f", 1, 2, 3) + b"c" * 2000, "word 2 is longer than 1,000 bytes"),
        (b"1 3\n " + struct.pack("<3f", 1, 2, 3), "word 1 has 0 bytes"),
        (b"1 3\n\xff " + struct.pack("<3f", 1, 2, 3), "word 1 is no text in UTF-8"),
    ],
)  # fmt: skip
def test_what_is_no_such_file_is_a_sentence(content, sentence, written):
    with pytest.raises(ModelError, match=f"no file of word vectors that can be read: .*{sentence}"):
        read_vectors(written(content))


def test_what_is_no_file_is_a_sentence(tmp_path, written):
    with pytest.raises(ModelError, match="cannot be read: No such file"):
        read_vectors(tmp_path / "none.txt")
    with pytest.raises(ModelError, match="cannot be read: it is no ordinary file"):
        read_vectors(tmp_path)
    with pytest.raises(ModelError, match="it has no header"):
        read_vectors(written(TEXT), form="binary")


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_read_or_refused(tmp_path_factory, blob):
    path = tmp_path_factory.getbasetemp() / "any.bin"
    for start in (b"", b"2 1\n", b"1 2\na "):
        path.write_bytes(start + blob)
        try:
            found = read_vectors(path)
        except ModelError:
            continue
        assert len(found.places) == len(found.table) >= 1
        assert np.isfinite(found.table).all()


def test_a_duplicate_may_keep_its_first_vector(written):
    path = written("a 1 2 3\nb 4 5 6\na 7 8 9\n")
    found = read_vectors(path, duplicates="first")
    assert (list(found.places), found.table[0].tolist()) == (["a", "b"], [1.0, 2.0, 3.0])


def test_what_is_written_is_read_back(tmp_path, written):
    before = read_vectors(written(TEXT))
    write_vectors(tmp_path / "again.bin", before)
    after = read_vectors(tmp_path / "again.bin")
    assert after.places == before.places
    assert np.array_equal(after.table, before.table)


def test_the_last_line_may_be_blank_once(written):
    for head in ("", "2 3\n"):
        for blank in ("\n", " \r\n"):
            found = read_vectors(written(f"{head}a 1 2 3\nb 4 5 6\n{blank}"))
            assert list(found.places) == ["a", "b"]
            with pytest.raises(ModelError, match="line 3 of its words is empty"):
                read_vectors(written(f"{head}a 1 2 3\nb 4 5 6\n{blank}{blank}"))
    with pytest.raises(ModelError, match="its header says 3 words, and it has 2"):
        read_vectors(written("3 3\na 1 2 3\nb 4 5 6\n\n"))


def test_a_text_that_is_cut_is_refused_but_inside_its_last_number(written):
    """By the header or by the numbers of the line; of a last number that is shorter nobody can tell, as the page says."""
    whole = f"5 3\n{TEXT}".encode().rstrip(b"\n")
    last = len(whole) - len(whole.rsplit(b" ", 1)[1])
    for end in range(last + 1):
        with pytest.raises(ModelError, match="no file of word vectors that can be read"):
            read_vectors(written(whole[:end]))
    assert len(read_vectors(written(whole[: last + 1])).places) == 5


def test_a_file_of_too_many_words_is_refused_and_not_cut(written, monkeypatch):
    monkeypatch.setattr("agents.models.static_vectors.files.MOST_WORDS", 3)
    path = written(TEXT)
    for most in (20_000_000, 3):
        with pytest.raises(ModelError, match="it has more than 3 words; `words: N` below that reads its first N"):
            read_vectors(path, most=most)
    assert len(read_vectors(path, most=2).places) == 2
    assert len(read_vectors(written("a 1\nb 2\nc 3\n")).places) == 3


@pytest.mark.parametrize("weights", ["even", "sif"])
@pytest.mark.parametrize("centred", [False, True])
def test_a_text_is_the_mean_of_its_words(weights, centred, written):
    made = StaticEmbedding(read_vectors(written(TEXT)), weights=weights, centred=centred)
    # `Barks` is there as it is written; `The` is there in lower case alone; `unknown` is not there.
    said = ["the", "dog", "Barks"]
    total = sum(1 / rank for rank in range(1, 6))
    sums, weight = [0.0] * 3, 0.0
    for word in said:
        share = 1 / (list(WORDS).index(word) + 1) / total
        own = SMOOTHING / (SMOOTHING + share) if weights == "sif" else 1.0
        for at in range(3):
            rows = [float(np.float32(row[at])) for row in WORDS.values()]
            sums[at] += own * (float(np.float32(WORDS[word][at])) - (sum(rows) / 5 if centred else 0.0))
        weight += own
    exact = torch.tensor([number / weight for number in sums], dtype=torch.float64).float()
    torch.testing.assert_close(made.vector("The dog, unknown: Barks!"), exact, rtol=1e-6, atol=1e-7)
    assert made.vector("unknown").tolist() == [0.0, 0.0, 0.0]


# similarity("dog", "cat"), similarity("dog", "the"), and the cosine of get_mean_vector(…, pre_normalize=False) of two lists.
GENSIM = (0.9918995, -0.17496356, 0.36370026)


def test_numbers_are_gensims(written):
    """What gensim 4.4.0 says of the same file: cosines, and the cosine of the means of two lists of words."""
    made = StaticEmbedding(read_vectors(written(FILES["word2vec text"])))
    by_gensim = {("dog", "cat"): GENSIM[0], ("dog", "the"): GENSIM[1], ("the dog", "cat Barks"): GENSIM[2]}
    for (one, two), expected in by_gensim.items():
        first, second = made.vector(one).double(), made.vector(two).double()
        assert float(torch.cosine_similarity(first, second, dim=0)) == pytest.approx(expected, abs=1e-6)


def test_a_belief_is_by_cosine_and_none_without_a_known_word(written):
    backend = create_belief_backend("static_vectors", checkpoint=str(written(TEXT)), temperature=0.5)
    near, unknown = backend.believe(
        [
            Question("q", "dog", labels=("A", "B"), options=("the cat", "Barks")),
            Question("q", "xyzzy", labels=("A", "B"), options=("the cat", "Barks")),
        ]
    )
    assert near.best == "A"
    assert unknown.abstention == "no word of the text has a vector"
    assert create_text_embedding("static_vectors", checkpoint=str(written(TEXT))).embed([Text("dog")]).shape == (1, 3)


def test_an_option_without_a_known_word_wins_nothing(written):
    """Its zeros would have the cosine 0, and beat all options that are known and unlike the question."""
    backend = create_belief_backend("static_vectors", checkpoint=str(written("up 1 0\ndown -1 0.1\nlow -1 -0.1\n")))
    known, unknown = backend.believe(
        [
            Question("q", "up", labels=("A", "B"), options=("down", "low xyzzy")),
            Question("q", "up", labels=("A", "B", "C"), options=("down", "xyzzy", "low")),
        ]
    )
    assert not known.abstention
    assert (unknown.labels, unknown.abstention) == (("A", "B", "C"), "no word of the option 'xyzzy' has a vector")


def test_zeros_have_no_direction(written):
    """A word of zeros, two words that cancel, and all of a centred file of one word."""
    path = str(written("up 1 0\ndown -1 0\nnil 0 0\nlow -1 -0.1\n"))
    backend = create_belief_backend("static_vectors", checkpoint=path)
    cases = [
        Question("q", "nil", labels=("A", "B"), options=("down", "low")),
        Question("q", "up", labels=("A", "B"), options=("low", "up down")),
        Question("q", "up nil", labels=("A", "B"), options=("low nil", "up")),
    ]
    text, option, known = backend.believe(cases)
    assert text.abstention == "the vectors of the words of the text come to zero"
    assert option.abstention == "the vectors of the words of the option 'up down' come to zero"
    assert (known.abstention, known.best) == ("", "B")


def test_cosines_do_not_depend_on_how_long_vectors_are(written):
    found = []
    for scale in ("", "e-30", "e30"):
        path = str(written(f"up 1{scale} 0.5{scale}\ndown -1{scale} 0.25{scale}\nlow -1{scale} -0.5{scale}\n"))
        case = Question("q", "up", labels=("A", "B"), options=("down", "low"))
        (belief,) = create_belief_backend("static_vectors", checkpoint=path).believe([case])
        found.append(belief.probabilities)
    assert found[1] == pytest.approx(found[0], rel=1e-6)
    assert found[2] == pytest.approx(found[0], rel=1e-6)


def test_options_that_cannot_be_are_refused(written):
    path = str(written(TEXT))
    for options, sentence in (
        ({"form": "bin"}, "form is auto, text, binary; got 'bin'"),
        ({"words": 0}, "words is a whole number of at least 1"),
        ({"duplicates": "last"}, "duplicates is refuse, first"),
        ({"weights": "tfidf"}, "weights is even or sif"),
        ({"weights": ["sif"]}, "weights is even or sif"),
        ({"centred": "false"}, "centred is true or false; got 'false'"),
        ({"temperature": "x"}, "temperature is a number; got 'x'"),
        ({"temperature": True}, "temperature is a number; got True"),
        ({"speed": 1}, "speed"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            create_belief_backend("static_vectors", checkpoint=path, **options)
    with pytest.raises(ModelError, match="static_vectors ships no vectors: give checkpoint: FILE"):
        create_belief_backend("static_vectors")


def test_a_saved_backend_is_the_same(tmp_path, written):
    made = StaticVectors(read_vectors(written(TEXT)), weights="sif", centred=True, temperature=0.3)
    made.save_pretrained(tmp_path / "saved")
    again = StaticVectors.from_pretrained(str(tmp_path / "saved"))
    assert again.texts.vector("the dog").equal(made.texts.vector("the dog"))
    assert (again.texts.weights, again.texts.centred, again.temperature) == ("sif", True, 0.3)
    assert isinstance(again.texts.vectors, WordVectors)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('{"speed": 1}', "there is no setting 'speed'; there are weights, centred, temperature"),
        ("[1]", ""),
        ("1", ""),
        ("null", ""),
        ("", ""),
        (b"\xff", ""),
        ("[" * 100_000, ""),
        ('{"temperature": "x"}', "temperature is a number; got 'x'"),
        ('{"temperature": 0}', "temperature must be finite and above 0; got 0"),
        ('{"temperature": NaN}', "static_vectors.json holds a number that is not finite"),
        ('{"centred": "false"}', "centred is true or false; got 'false'"),
        ('{"weights": 3}', "weights is even or sif; got 3"),
    ],
)
def test_settings_that_cannot_be_are_refused(content, sentence, tmp_path, written):
    StaticVectors(read_vectors(written(TEXT))).save_pretrained(tmp_path / "saved")
    (tmp_path / "saved" / "static_vectors.json").write_bytes(
        content if isinstance(content, bytes) else content.encode()
    )
    with pytest.raises(ModelError, match=f"no settings of static_vectors in .*{sentence}"):
        StaticVectors.from_pretrained(str(tmp_path / "saved"))


def test_an_option_that_there_is_not_is_refused_by_the_class_as_well(written):
    with pytest.raises(ConfigError, match="static_vectors has no option 'speed'; it has weights, centred, temperature"):
        StaticVectors.from_pretrained(str(written(TEXT)), speed=1)
    with pytest.raises(BeliefError, match="temperature must be finite and above 0; got -1"):
        StaticVectors.from_pretrained(str(written(TEXT)), temperature=-1)


def vectors_of(*words, seed=0):
    rows = np.random.default_rng(seed).normal(size=(len(words), 7)) * 10.0 ** np.arange(-30, 40, 10)
    return WordVectors({word: place for place, word in enumerate(words)}, rows.astype(np.float32))


@pytest.mark.parametrize("words", [("a", "b"), ("a", ". . .", "at name@domain.com", "12"), ("tab\tbed", "a\rb", "\t")])
def test_a_saved_backend_has_the_same_words_whatever_they_are(words, tmp_path):
    folder = tmp_path / "saved"
    # What an earlier save left is not read.
    for vectors in (vectors_of("x y", "z"), vectors_of("z"), vectors_of(*words)):
        StaticVectors(vectors).save_pretrained(folder)
        again = StaticVectors.from_pretrained(str(folder)).texts.vectors
        assert list(again.places) == list(vectors.places)
        assert np.array_equal(again.table, vectors.table)


@pytest.mark.parametrize("word", ["dog 9", " dog", "dog ", "a b\nc", "", "\ndog", "\ud800", "x" * 1001])
def test_words_that_no_file_keeps_are_not_written(word, tmp_path):
    with pytest.raises(ModelError, match="would not be read back as it is: no file of vectors is written"):
        StaticVectors(vectors_of("the", word)).save_pretrained(tmp_path / "saved")
    assert not (tmp_path / "saved").exists()
    with pytest.raises(ModelError, match="a row of finite numbers a word"):
        write_vectors(tmp_path / "none.bin", WordVectors({"a": 0}, np.full((1, 2), np.nan, dtype=np.float32)))
    assert not (tmp_path / "none.bin").exists()
