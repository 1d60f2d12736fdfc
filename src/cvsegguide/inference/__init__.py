"""From networks to answers: posterior, regions, coordinates."""
