"""Images in tar files, read as streams."""
