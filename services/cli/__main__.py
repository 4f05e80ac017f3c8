"""`python -m services.cli`: the `drivetrain` command where it is not on the PATH."""

from services.cli.main import main

main()
