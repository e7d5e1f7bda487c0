"""Runs that can always be picked up again."""
