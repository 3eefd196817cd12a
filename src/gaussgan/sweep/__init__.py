"""Run the jobs of a sweep. Jobs that differ only in numbers are trained together, as the replicas of one run.

Code that trains one run does not belong here, but in the module `gaussgan.train`.
"""
