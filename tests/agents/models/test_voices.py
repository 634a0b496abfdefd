"""Voices: Parkinson's telemonitoring as it is read, divided by people, and refused in a sentence."""

import csv

import pytest
import torch
from support.small_data import voices

from agents.errors import ModelError
from agents.models.fusion import voice, voice_claims
from agents.models.fusion.voice import read_voices


def test_a_file_in_another_encoding_is_a_sentence(tmp_path):
    (tmp_path / "parkinsons_updrs.csv").write_bytes(b"subject#,caf\xe9\n1,2\n")
    with pytest.raises(ModelError, match="cannot read .*parkinsons_updrs.csv: 'utf-8' codec"):
        read_voices(tmp_path)


def test_nobody_is_on_two_sides(tmp_path):
    found = voice.read_voices(voices(tmp_path))
    tested = voice.folds(found, 3)
    assert sorted(torch.cat(tested).tolist()) == list(range(1, 21))
    for seed in range(3):
        parts = voice.divided(found, tested[0], seed)
        people = [set(part.people.tolist()) for part in parts]
        assert sum(map(len, people)) == len(set().union(*people)) == 20
        assert people[3] == set(tested[0].tolist())
        assert sum(map(len, parts)) == len(found)
    assert voice.asked_about(found).tolist() == [5, 10, 15, 20]
    # UPDRS of 16, 24, 32 and 40.
    assert found.grades.tolist() == [person % 4 for person in found.people.tolist()]


def test_a_file_of_other_columns_is_refused(tmp_path):
    with pytest.raises(ModelError, match="give --data with parkinsons_updrs.csv"):
        voice.read_voices(tmp_path)
    path = voices(tmp_path) / "parkinsons_updrs.csv"
    rows = list(csv.reader(path.read_text().splitlines()))
    path.write_text("\n".join(",".join("x" if (i, j) == (2, 4) else cell for j, cell in enumerate(row))
                              for i, row in enumerate(rows)))  # fmt: skip
    with pytest.raises(ModelError, match="not the columns of Parkinson's telemonitoring"):
        voice.read_voices(tmp_path)


def test_the_prior_of_voices_is_of_everybody_who_is_not_tested(tmp_path):
    recordings = read_voices(voices(tmp_path))
    tested = torch.unique(recordings.people)[:4]
    counts = torch.bincount(recordings.grades[~torch.isin(recordings.people, tested)], minlength=4).double() + 1
    prior = voice_claims._of_fold(recordings, tested, 0)["prior"]
    assert prior.shape == (len(recordings.of(tested)), 4)
    assert torch.allclose(prior[0].exp(), counts / counts.sum())


@pytest.mark.parametrize(
    ("row", "column", "value", "sentence"),
    [
        # A decimal comma moves the columns behind it.
        (3, 5, "0,5", "a row has 19 values, between commas, for 18 columns"),
        (0, 3, "Jitter(%)", r"Jitter\(%\) is there 2 times, and once is right"),
        (0, 2, "jitter", r"Jitter\(%\) is there 0 times, and once is right"),
        (2, 0, "1.5", "subject# is a whole number, by which people are divided; one is not"),
    ],
)
def test_columns_that_are_moved_or_there_twice_are_refused(row, column, value, sentence, tmp_path):
    path = voices(tmp_path) / "parkinsons_updrs.csv"
    want = read_voices(tmp_path).columns
    rows = list(csv.reader(path.read_text().splitlines()))
    path.write_text("\n".join(", ".join(each) for each in rows))
    assert torch.equal(read_voices(tmp_path).columns, want)
    rows[row][column] = value
    path.write_text("\n".join(",".join(each) for each in rows))
    with pytest.raises(ModelError, match=sentence):
        read_voices(tmp_path)
