"""`python -m tmelt` is `tmelt`."""

from tmelt.cli import main

if __name__ == "__main__":
    main()
