"""Search for good settings: turn a search space into trials, trials into runs with replicas, and results into a study.

Code that trains one run, or that launches the jobs of a sweep, does not belong here.
"""
