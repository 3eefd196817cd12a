"""What `make benchmark` measures. Each file is one contender or one way to measure, and can be run alone."""
