"""Wiring: one folder a pipeline, nodes of a few lines that call the domain."""
