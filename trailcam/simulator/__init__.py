"""A simulated camera, for people who have none yet: a product, not a test helper."""
