"""Optional parts: each folder can be deleted."""
