"""Checks for resources that arrive as FHIR R4."""
