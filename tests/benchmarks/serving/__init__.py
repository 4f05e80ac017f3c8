"""The serving benchmark: Drivetrain beside its peers, every server with the same graphs under the same load.

How it is kept fair: a fresh process serves one model at a time, on one thread an operator; the load has a warm-up of
its own; the contestants take turns, several times over, and medians are compared; meanwhile answers are checked against
torch's. `python -m tests.benchmarks.serving --help` says what can be chosen.
"""
