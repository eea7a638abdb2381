"""Speed and memory against the usual ways of doing it, as ratios of medians in one run; not run by pytest."""
