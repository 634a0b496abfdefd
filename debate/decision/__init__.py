"""From a transcript to an answer."""
