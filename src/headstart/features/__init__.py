"""The feature cache: what the frozen backbone makes of the images, computed once and used by every epoch and run."""
