"""The worker: woken by a doorbell or by itself, it claims jobs, listens, and writes what it heard."""
