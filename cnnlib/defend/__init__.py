"""Defences against attacks, and what is left of them under scrutiny."""

from cnnlib.defend.training import Adversary

__all__ = ["Adversary"]
