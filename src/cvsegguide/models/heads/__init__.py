"""What stands behind the backbones: heads per pixel, similarity with a street descriptor."""
