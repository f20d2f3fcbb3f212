"""Recommendation models: the data they learn from, the models, and their evaluation.

Everything works on events of (user, item, weight, time). Only `publication` knows a project.
"""
