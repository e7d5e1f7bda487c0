"""What is measured while a run goes on, and who is told."""
