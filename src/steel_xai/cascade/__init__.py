"""The cascade: is there a defect, of which classes, and where; each step sees only what the one before let pass."""
