"""The report about many runs: which setting is best, and how sure that is. It reads run directories and trains nothing.

Code that starts or resumes runs belongs in `sweep`.
"""
