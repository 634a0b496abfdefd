"""`python -m debate`."""

from debate.cli import main

main()
