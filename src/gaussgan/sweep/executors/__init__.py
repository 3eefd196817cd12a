"""Run a set of tasks on other processes or other machines: by joblib, by submitit (SLURM) and by Ray.

What a task does does not belong here: an executor sees functions without arguments.
"""
