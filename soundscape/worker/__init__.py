"""The worker: claims jobs, runs them in child processes, and stores the results."""
