"""Experiments too long, too random or too hungry for data for a notebook: each writes a CSV that chapters plot."""
