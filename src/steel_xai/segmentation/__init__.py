"""Networks that label every pixel: references for what explanations without pixel labels can reach."""
