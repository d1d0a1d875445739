"""The pretend county: invented people, hospitals that send, and the walk through all of it."""
