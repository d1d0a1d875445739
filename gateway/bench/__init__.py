"""Measures the gateway beside the bare ceiling, in one run."""
