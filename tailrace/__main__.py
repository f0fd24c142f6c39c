"""`python -m tailrace`: the command line without its script on the PATH."""

from tailrace.cli.main import main

main()
