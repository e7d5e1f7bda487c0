"""What the feature cache is worth: everything that is compared is measured in turns, in one run."""
