"""Who speaks when, what each hears, and when a debate ends."""
