"""CASS-NAT: what is said in a recording, all tokens at once, each with a belief of its own."""
