"""`python -m infrastructure.cli`: the command `ras`, for processes that start one another."""

from infrastructure.cli.main import main

main()
