"""A sweep whose jobs are trained together where they differ in numbers alone. Imported when it is launched."""
