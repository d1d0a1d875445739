"""Who is at the door: systems by signed assertions, people by local accounts."""
