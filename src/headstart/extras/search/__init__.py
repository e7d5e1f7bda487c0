"""Searches with Optuna: Hydra's own sweeper, which goes on after a stop, and pruning."""
