"""The operator's commands: what the queue holds, and what is to become of it."""
