"""Mutual recognition: what may be recognised, whether one result is, and the decision about it."""
