"""What did the hospital say, in FHIR? Maps as data, read by a small engine; no web, no database, no clock."""
