"""Trained models as files for other runtimes, each loaded by its own and compared before it is left behind."""
