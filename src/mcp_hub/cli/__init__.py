"""The command line: thin, prints, nothing else."""
