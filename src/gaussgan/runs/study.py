"""The names by which a search is found in the directory of its sweep."""

STUDY = "study.log"  # the study of a search: a journal file of Optuna
FINAL = "final"  # the attribute of a study with what the search found
