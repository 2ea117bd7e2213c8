"""`python -m waymark`: the command line, where the console script is not installed."""

from waymark.cli import main

main()
