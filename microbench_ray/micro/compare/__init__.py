"""`microbench compare`: which of two runs, or of several, is better, and whether that is more than noise."""
