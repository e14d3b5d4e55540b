"""Estimators: accuracies from the responses to the selected items."""
