"""The door for decision support in hospitals' own systems: HL7 CDS Hooks 2.0, and the same in SOAP."""
