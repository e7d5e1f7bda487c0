"""The feature cache: what the frozen backbone makes of the pictures, computed once and used by every epoch and run."""
