"""Sweeps from and to other tools: Optuna studies, W&B sweep files."""
