"""Numerical kernels that selectors and estimators share: functions of arrays and a Generator."""
