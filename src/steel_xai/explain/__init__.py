"""Explanations of sheets without labels: what the model says of each, why, how surely, and what it resembles."""
