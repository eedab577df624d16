"""The modules of the verbs: `configure(parser)` and `run(args)` each."""
