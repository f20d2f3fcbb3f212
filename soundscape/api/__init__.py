"""What the worker serves over HTTP under `/api`."""
