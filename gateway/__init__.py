"""The running service: doors, stories, and the rooms they stand on."""
