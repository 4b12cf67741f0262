"""The wire contracts: what RAS reads from upstream's topics and what it publishes."""
