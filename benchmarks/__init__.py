"""One script per question; `harness` has what they share, `results` what they found."""
