"""Sheets: from raw files and annotations to tensors, groups and splits."""
