"""The ways in: raw messages over MLLP and HTTP, kept before they are acknowledged."""
