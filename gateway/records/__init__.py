"""What a record says of itself: its entry in the manifest, and searching by it."""
