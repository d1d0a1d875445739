"""The running service: doors, stories, and the rooms they stand on."""

__version__ = "0.1.0"
