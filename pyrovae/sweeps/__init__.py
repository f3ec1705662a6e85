"""Sweeps: one experiment, many configurations, as many workers as there are machines on the sweep's folder.

RUNS/NAME/sweep.toml    what is swept; a worker needs nothing else
RUNS/NAME/HASH/         a run for each configuration and seed, named by the hash of its configuration
RUNS/NAME/journal.log   Optuna's journal: who does what, and what came out
RUNS/NAME/table.md      the table of all cells
"""
