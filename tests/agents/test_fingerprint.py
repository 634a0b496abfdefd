"""Which models are one: by what they were loaded as, by their table, by their tokenizer."""

from dataclasses import replace

import pytest

from agents.fingerprint import ModelFingerprint

ONE = ModelFingerprint("tiny", "a" * 16, "b" * 16, 10, 4, weights="c" * 16)


def test_a_model_is_the_same_again_unless_both_sessions_know_other_weights():
    unknown, other = replace(ONE, weights=""), replace(ONE, weights="d" * 16)
    assert ONE.is_again(replace(ONE))
    assert ONE.is_again(unknown)
    assert unknown.is_again(ONE)
    assert unknown.is_again(replace(unknown))
    assert not ONE.is_again(other)
    assert not other.is_again(ONE)
    assert not ONE.is_again(replace(unknown, table="e" * 16))


@pytest.mark.parametrize(
    ("field", "table", "tokenizer"), [("model", True, True), ("table", False, True), ("tokenizer", False, False)]
)
def test_vectors_go_between_models_of_one_table_and_beliefs_between_those_of_one_tokenizer(field, table, tokenizer):
    other = replace(ONE, **{field: "f" * 16})
    assert ONE.same_table(other) is other.same_table(ONE) is table
    assert ONE.same_tokenizer(other) is other.same_tokenizer(ONE) is tokenizer


def test_a_model_without_a_table_shares_it_with_none():
    bare = replace(ONE, table="")
    assert not bare.same_table(bare)


def test_weights_are_a_run_s_to_know_and_no_message_s():
    assert "weights" not in ONE.sender()
    assert ONE.record()["weights"] == ONE.weights
    assert "weights" not in replace(ONE, weights="").record()
    assert ONE.sender()["model"] == "tiny"
