"""Terminal tables, figures and report.html."""
