"""A small training for tests: images, a network with all that a step can depend on, and the options of a run."""

from functools import partial

import torch
from torch import nn

from cnnlib import data, schedules
from cnnlib.data import augment
from cnnlib.models import lenet5
from cnnlib.train import train

EPOCHS, BATCH, STEPS = 6, 16, 6


def digits(n=100):
    """The first n digits, (n, 1, 8, 8), as bytes, and their labels."""
    images, labels = data.digits()
    return torch.from_numpy((images[:n, None] * 255).astype("uint8")), torch.from_numpy(labels[:n])


def large_digits(n):
    """The first n digits, (n, 1, 28, 28): each pixel three wide, and a border of two."""
    images, labels = digits(n)
    return nn.functional.pad(images.repeat_interleave(3, 2).repeat_interleave(3, 3), (2,) * 4), labels


def network(seed=0):
    """A network of 8 × 8 digits with batch norm and dropout."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        layers = [nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.2)]
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(128, 10))


def sgd(model):
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)


def adamw(model):
    return torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.05)


def run(model, images, labels, *, make=sgd, **options):
    """Train with small options, of which `options` replaces some; return the history."""
    epochs, batch_size = options.get("epochs", EPOCHS), options.get("batch_size", BATCH)
    usual = {
        "schedule": partial(schedules.one_cycle, lr=0.05, steps=max(2, epochs * len(images) // (batch_size or 1))),
        "epochs": epochs,
        "batch_size": batch_size,
    }
    return train(model, images, labels, optimiser=make(model), **(usual | options))


def lenet(n=64, epochs=3, **options):
    """LeNet-5's weights after a short training, and the losses: what one process and two are compared by."""
    model = lenet5(seed=1)
    history = run(model, *large_digits(n), epochs=epochs, augment=augment.shift, **options)
    weights = torch.cat([value.flatten() for value in model.state_dict().values()])
    return weights, torch.tensor([[row["train_loss"], row["train_accuracy"]] for row in history])
