"""What is written to disk, and read back: complete files, typed records, tables with a schema."""
