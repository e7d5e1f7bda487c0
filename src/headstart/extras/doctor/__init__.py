"""The data doctor: what is probably wrong with labels, images and splits, by the features that the cache holds."""
