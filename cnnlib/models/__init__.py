"""The networks of the course, one family a file, as plain `torch.nn` modules.

Every constructor takes `num_classes`, `in_channels` and `seed` by name: the seed decides the weights, and torch's
global generator is left as it was. Images go in as (N, C, H, W), already normalised; logits come out.
"""
