"""Stories: one file, one thing a person or a hospital wants."""
