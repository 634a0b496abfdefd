"""The report of known vulnerabilities calls nothing sound that nobody looked at. No network here."""

import subprocess

import pytest
from support import audit

OWN = {"name": "cipher-debate", "skip_reason": "not on PyPI"}
PASSED = {"name": "torch", "skip_reason": "Dependency not found on PyPI"}
SOUND = {"name": "numpy", "version": "2.0", "vulns": []}
FAULTY = {
    "name": "jinja2",
    "version": "3.0",
    "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-1", "PYSEC-1"], "fix_versions": ["3.1"]}, {"id": "PYSEC-2"}],
}


@pytest.mark.parametrize(
    ("packages", "sentence"),
    [
        ([OWN, PASSED], "audit: no advisories could be asked for; 1 packages were not looked at"),
        ([OWN, SOUND], "audit: 0 known vulnerabilities in 1 packages"),
        ([OWN, PASSED, SOUND], "audit: 0 known vulnerabilities in 1 packages; 1 could not be asked about"),
        (
            [SOUND, FAULTY],
            "audit: 2 known vulnerabilities in 2 packages\njinja2 3.0: PYSEC-1, CVE-1; mended in 3.1\n"
            "jinja2 3.0: PYSEC-2; mended in no version yet",
        ),
    ],
)
def test_what_was_not_looked_at_is_said(packages, sentence):
    assert audit.report({"dependencies": packages}) == sentence


@pytest.mark.parametrize(
    ("outcome", "sentence"),
    [
        (
            subprocess.CompletedProcess([], 1, "", "No module named pip_audit"),
            "nothing was looked at: No module named pip_audit",
        ),
        (subprocess.TimeoutExpired([], 1), "did not answer within 300 s; nothing was looked at"),
    ],
)
def test_what_goes_wrong_is_a_sentence_and_no_failure(outcome, sentence, monkeypatch, capsys):
    def run(*_, **__):
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(audit.subprocess, "run", run)
    audit.main()
    assert sentence in capsys.readouterr().out
