"""Seeded traffic as upstream's services send it, for the demonstration, the benchmarks and the tests."""
