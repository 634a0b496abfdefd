"""A run in the browser: an index of its debates, each read when it is looked at, served on loopback or exported as one file."""
