"""Estimators: how accuracy is read off the responses to the selected items."""
