"""A trained classifier's explanations of a data set: made, read again, checked, and those of its errors."""
