"""Benchmarks that look the accuracy of an architecture up instead of training it."""
