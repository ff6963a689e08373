"""A federation whose messages Flower brings from the coordinator to the nodes and back."""
