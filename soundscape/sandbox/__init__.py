"""The child process that decodes: its parent, its protocol, and what confines it."""
