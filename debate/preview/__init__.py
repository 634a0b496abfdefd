"""What a topology will do, before anything runs: checks, facts, pictures."""
