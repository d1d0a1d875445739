"""`python -m gateway.cli` is `health-gateway`."""

from gateway.cli import main

if __name__ == "__main__":
    main()
