"""Tampered payloads: the experiment of docs/security.md, and that it can fail."""

import json

from agents.signing import Receiver
from debate.bench.signatures import Tampering, tamper


def test_every_tampered_payload_is_refused_and_no_other():
    refused, accepted, lost = tamper(240, seed=1)
    assert accepted == []
    assert lost == 0
    assert refused == dict.fromkeys(Tampering(1).kinds, 20)


def test_a_receiver_that_lets_everything_through_is_found(monkeypatch):
    from agents.message_file import from_bytes

    monkeypatch.setattr(Receiver, "accept", lambda self, blob, place: from_bytes(blob))
    refused, accepted, _ = tamper(24, seed=1)
    # Bits are seen by checksum and form, whoever signs; the rest by signatures alone.
    assert set(refused) <= {"bit"}
    assert len(accepted) >= 22


def test_bench_signatures(cli, tiny, tmp_path):
    out = tmp_path / "signatures.json"
    asked = ("--payloads", "24", "--model", str(tiny()), "--rounds", "1", "--tokens", "4", "--out", str(out))
    code, printed, _ = cli("bench", "signatures", *asked)
    assert code == 0
    assert "24 of 24 tampered payloads refused; 0 of those untouched refused" in printed
    report = json.loads(out.read_text())
    assert sum(report["refused"].values()) == 24
    assert report["turn_s"] > 0 < report["share"]
