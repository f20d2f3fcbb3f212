"""`python -m soundscape`: the command line."""

from soundscape.cli.app import main

main()
