"""One step of decoding: sampling a token, the CIPHER step, and where a message ends."""
