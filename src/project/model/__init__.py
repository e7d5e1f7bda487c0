"""What is trained: the classifier, its heads, optimizers and strategies."""
