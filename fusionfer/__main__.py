"""``python -m fusionfer`` is the command line."""

from fusionfer.cli import main

if __name__ == "__main__":
    main()
