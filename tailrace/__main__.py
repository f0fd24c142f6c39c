"""`python -m tailrace` is the command `tailrace`."""

from tailrace.cli.main import main

if __name__ == "__main__":
    main(prog_name="tailrace")
