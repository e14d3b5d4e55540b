"""What every room uses: errors, seeds, schemas, threads, memory, progress and storage."""
