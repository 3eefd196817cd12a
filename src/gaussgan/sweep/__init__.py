"""Run a sweep. Jobs that differ only in numbers are trained together.

Code that trains one run belongs in the module `gaussgan.train`.
"""
