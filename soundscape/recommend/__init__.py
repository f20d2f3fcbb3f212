"""Recommendations from what people liked and heard: data, models, and what a model is worth.

Works on a file of (user, item, weight, time); `publication` alone knows a project.
"""
