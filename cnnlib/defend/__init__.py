"""Defences against attacks, and how far to believe them."""

from cnnlib.defend.masking import Finding, diagnose
from cnnlib.defend.smoothing import ABSTAIN, Certificate, certify, lower_bound, noisy, predict
from cnnlib.defend.training import Adversary

__all__ = ["ABSTAIN", "Adversary", "Certificate", "Finding", "certify", "diagnose", "lower_bound", "noisy", "predict"]
