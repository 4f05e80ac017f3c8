"""The training benchmark: Drivetrain's loop beside those of its peers, all with the same work.

How it is kept fair: the same rows, first weights, optimizer, batch size and number of steps, one thread inside an
operator; every contestant is a fresh process in an environment of its own; they take turns, several times over, and
medians are compared; what each has learned is measured alike. `python -m tests.benchmarks.training --help` says more.
"""
