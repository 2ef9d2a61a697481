"""`python -m tracegraph` is the `tracegraph` command."""

from tracegraph.cli.main import main

if __name__ == "__main__":
    main()
