"""Exercises: `Exercise(...).check` for students, `python -m cnnlib.grading` for those who mark.

A mark is given by a judge that never shares a process with the submission: see `cnnlib.grading.sandbox`.
"""

from cnnlib.grading.exercise import Exercise, Report

__all__ = ["Exercise", "Report"]
