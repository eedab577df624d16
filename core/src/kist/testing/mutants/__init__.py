"""Broken plugins that the contracts must catch: the proof that the contract kit proves something.

A mutant differs from a good plugin in one behaviour. ``running`` runs a contract on it and tells which tests failed;
each other module holds the mutants of one kind and registers them with ``mutant``.
"""
