"""The specification of each assignment: points, questions, drawn inputs, known mistakes. One file each."""
