"""Transfer learning on images: a frozen pretrained backbone with a trainable head."""
