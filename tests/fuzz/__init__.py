"""Mutated messages through a whole RAS: `make fuzz`, and a short run in the tests."""
