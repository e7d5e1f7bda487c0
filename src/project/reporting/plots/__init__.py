"""What a run's figures are drawn with: matplotlib alone, and no window system."""
