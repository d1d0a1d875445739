"""The namespace of the classes that `structs.py` builds: msgspec looks here for what a class refers to."""
