"""The benchmark suite: kist and its peers as whole processes on seeded data, in one run. ``python tests/benchmarks``."""
