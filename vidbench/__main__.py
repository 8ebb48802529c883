"""`python -m vidbench`."""

from .cli import main

main()
