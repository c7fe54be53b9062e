"""``python -m mailblast``."""

from mailblast.cli.app import main

if __name__ == "__main__":
    main()
