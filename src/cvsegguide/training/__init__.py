"""Training: the Lightning module, losses and callbacks. Not imported by inference."""
