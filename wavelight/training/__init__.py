"""The Lightning layer: the command line of the trainer's methods, and the trainer."""
