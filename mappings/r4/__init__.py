"""FHIR R4 as data: what is defined (`definitions`), what is valid (`check`), what is looked at (`gate`)."""
