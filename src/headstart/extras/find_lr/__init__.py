"""A learning rate from a short search."""
