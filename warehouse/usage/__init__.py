"""The usage log: what of it is asked for, and how it is taken away."""
