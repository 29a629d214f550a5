"""`python -m edgepose`: the same as the `edgepose` command."""

from edgepose.cli.main import main

if __name__ == "__main__":
    main()
