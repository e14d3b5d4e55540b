"""Output folders on a local disk or in an object store: files, locks and URLs."""
