"""`cnnlib.ops_numpy` again, with the same names, signatures and values, as fast as NumPy goes."""
