"""Sweeps whose jobs differ only in numbers: these jobs are trained together. Imported when a sweep is launched."""
