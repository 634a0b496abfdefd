"""Everything of a run that is on disk: journal, messages, results, status."""
